; Definitions and imports. A capture's name is the kind of what it captures; @name is its name.
(function_definition name: (identifier) @name) @function
(class_definition name: (identifier) @name) @class
(import_statement) @import
(import_from_statement) @import
(type_alias_statement left: (type [(identifier) @name (generic_type . (identifier) @name)])) @type
(module (expression_statement (assignment left: (identifier) @name) @constant) (#match? @name "^[A-Z]"))
