; Definitions and imports. A capture's name is the kind of what it captures; @name is its name.
(function_definition name: (identifier) @name) @function
(class_definition name: (identifier) @name) @class
(import_statement) @import
(import_from_statement) @import
