; What JavaScript and TypeScript share: functions by any of the ways in which they get a name;
; anonymous callbacks are no definitions.
(function_declaration name: (identifier) @name) @function
(generator_function_declaration name: (identifier) @name) @function
(method_definition name: (_) @name) @method
(pair key: (_) @name value: [(arrow_function) (function_expression) (generator_function)]) @method
(variable_declarator
  name: (identifier) @name
  value: [(arrow_function) (function_expression) (generator_function)]) @function
(variable_declarator
  name: (identifier) @name
  value: (assignment_expression
    right: [(arrow_function) (function_expression) (generator_function)])) @function
(variable_declarator name: (identifier) @name value: (class)) @class
(assignment_expression
  left: [(identifier) (member_expression)] @name
  right: [(arrow_function) (function_expression) (generator_function)]) @function
(assignment_expression
  left: [(identifier) (member_expression)] @name
  right: (assignment_expression
    right: [(arrow_function) (function_expression) (generator_function)])) @function
(assignment_expression left: [(identifier) (member_expression)] @name right: (class)) @class
(assignment_expression
  left: (subscript_expression index: (string) @name)
  right: [(arrow_function) (function_expression) (generator_function)]) @function
(export_statement
  "default" @name
  value: [(arrow_function) (function_expression) (generator_function)]) @function
(export_statement "default" @name value: (class)) @class
(export_statement "default" @name value: [(object) (call_expression) (new_expression)]) @constant
(export_statement (_ (variable_declarator name: (identifier) @name) @constant))
(export_statement (_ (variable_declarator
  name: (object_pattern [
    (shorthand_property_identifier_pattern) @name
    (pair_pattern value: (identifier) @name)])) @constant))
(program (lexical_declaration (variable_declarator name: (identifier) @name) @variable))
(program (variable_declaration (variable_declarator name: (identifier) @name) @variable))

; What a file gives to others under a name of its own, or of what is defined above.
(export_specifier name: _ @name !alias) @export
(export_specifier alias: _ @name) @export
(namespace_export (_) @name) @export
(export_statement "*" source: (string (string_fragment) @name)) @export
(export_statement "default" value: (identifier) @exported)
(assignment_expression
  left: (member_expression object: [(identifier) (member_expression)] @_exports property: (_) @name)
  (#any-of? @_exports "exports" "module.exports")) @export
(assignment_expression
  left: (member_expression) @_exports
  right: [
    (identifier) @exported
    (object [(shorthand_property_identifier) @exported (pair value: (identifier) @exported)])]
  (#eq? @_exports "module.exports"))

(import_statement source: (string) @import)
(export_statement source: (string) @import)
(call_expression
  function: [(identifier) (import)] @_call
  arguments: (arguments . (string) @import)
  (#any-of? @_call "require" "import"))
