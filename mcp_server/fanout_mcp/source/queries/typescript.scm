; JavaScript's, and what types add.
(function_declaration name: (identifier) @name) @function
(generator_function_declaration name: (identifier) @name) @function
(function_signature name: (identifier) @name) @function
(class_declaration name: (type_identifier) @name) @class
(abstract_class_declaration name: (type_identifier) @name) @class
(interface_declaration name: (type_identifier) @name) @interface
(type_alias_declaration name: (type_identifier) @name) @type
(enum_declaration name: (identifier) @name) @enum
(internal_module name: (_) @name) @namespace
(module name: (_) @name) @namespace
(method_definition name: (_) @name) @method
(method_signature name: (_) @name) @method
(abstract_method_signature name: (_) @name) @method
(public_field_definition name: (_) @name value: [(arrow_function) (function_expression)]) @method
(variable_declarator
  name: (identifier) @name
  value: [(arrow_function) (function_expression) (generator_function)]) @function
(variable_declarator name: (identifier) @name value: (class)) @class
(assignment_expression
  left: [(identifier) (member_expression)] @name
  right: [(arrow_function) (function_expression) (generator_function)]) @function
(variable_declarator
  value: (object (pair key: (_) @name value: [(arrow_function) (function_expression)]) @method))
(export_statement (lexical_declaration (variable_declarator name: (identifier) @name) @constant))
(import_statement source: (string) @import)
(export_statement source: (string) @import)
(import_require_clause source: (string) @import)
(call_expression
  function: [(identifier) (import)] @_call
  arguments: (arguments . (string) @import)
  (#any-of? @_call "require" "import"))
