; What JavaScript and TypeScript share: functions by any of the ways in which they get a name;
; anonymous callbacks are no definitions.
(function_declaration name: (identifier) @name) @function
(generator_function_declaration name: (identifier) @name) @function
(method_definition name: (_) @name) @method
(variable_declarator
  name: (identifier) @name
  value: [(arrow_function) (function_expression) (generator_function)]) @function
(variable_declarator name: (identifier) @name value: (class)) @class
(assignment_expression
  left: [(identifier) (member_expression)] @name
  right: [(arrow_function) (function_expression) (generator_function)]) @function
(assignment_expression left: [(identifier) (member_expression)] @name right: (class)) @class
(assignment_expression
  right: (object (pair key: (_) @name value: [(arrow_function) (function_expression)]) @method))
(variable_declarator
  value: (object (pair key: (_) @name value: [(arrow_function) (function_expression)]) @method))
(export_statement
  (object (pair key: (_) @name value: [(arrow_function) (function_expression)]) @method))
(export_statement (lexical_declaration (variable_declarator name: (identifier) @name) @constant))
(import_statement source: (string) @import)
(export_statement source: (string) @import)
(call_expression
  function: [(identifier) (import)] @_call
  arguments: (arguments . (string) @import)
  (#any-of? @_call "require" "import"))
