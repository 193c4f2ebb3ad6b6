(function_declaration name: (_) @name) @function
(assignment_statement
  (variable_list . name: (_) @name)
  (expression_list . value: (function_definition))) @function
(field name: (_) @name value: (function_definition)) @method
(chunk (variable_declaration (assignment_statement
  (variable_list . name: (identifier) @name)) @constant) (#match? @name "^[A-Z][A-Z0-9_]+$"))
(chunk (assignment_statement (variable_list . name: (identifier) @name)) @constant)
(function_call
  name: (identifier) @_call
  arguments: (arguments . (string) @import)
  (#any-of? @_call "require" "dofile" "loadfile"))
