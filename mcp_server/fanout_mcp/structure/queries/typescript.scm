; What types add to script.scm.
(function_signature name: (identifier) @name) @function
(class_declaration name: (type_identifier) @name) @class
(abstract_class_declaration name: (type_identifier) @name) @class
(interface_declaration name: (type_identifier) @name) @interface
(type_alias_declaration name: (type_identifier) @name) @type
(enum_declaration name: (identifier) @name) @enum
(internal_module name: (_) @name) @namespace
(module name: (_) @name) @namespace
(ambient_declaration "global" @name) @namespace
(method_signature name: (_) @name) @method
(abstract_method_signature name: (_) @name) @method
(public_field_definition name: (_) @name value: [(arrow_function) (function_expression)]) @method
(variable_declarator
  name: (identifier) @name
  value: [
    (as_expression [(arrow_function) (function_expression)])
    (satisfies_expression [(arrow_function) (function_expression)])
    (as_expression (parenthesized_expression [(arrow_function) (function_expression)]))]) @function
(assignment_expression
  left: [(identifier) (member_expression)] @name
  right: (as_expression [
    (arrow_function) (function_expression)
    (parenthesized_expression [(arrow_function) (function_expression)])])) @function
(internal_module (statement_block (_ (variable_declarator name: (identifier) @name) @constant)))
(module (statement_block (_ (variable_declarator name: (identifier) @name) @constant)))
(ambient_declaration (_ (variable_declarator name: (identifier) @name) @constant))
(import_require_clause source: (string) @import)
