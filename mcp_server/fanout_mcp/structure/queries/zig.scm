(function_declaration name: (identifier) @name) @function
(variable_declaration . (identifier) @name (struct_declaration)) @struct
(variable_declaration . (identifier) @name (enum_declaration)) @enum
(variable_declaration . (identifier) @name (union_declaration)) @union
(variable_declaration . (identifier) @name (opaque_declaration)) @type
(variable_declaration . (identifier) @name (error_set_declaration)) @type
(source_file (variable_declaration . (identifier) @name) @variable)
(struct_declaration (variable_declaration . (identifier) @name) @variable)
(builtin_function
  (builtin_identifier) @_call
  (arguments . (string) @import)
  (#eq? @_call "@import"))
