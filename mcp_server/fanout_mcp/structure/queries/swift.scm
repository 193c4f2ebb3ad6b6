(class_declaration "class" name: (_) @name) @class
(class_declaration "struct" name: (_) @name) @struct
(class_declaration "enum" name: (_) @name) @enum
(class_declaration "actor" name: (_) @name) @class
(class_declaration "extension" name: (_) @name) @impl
(protocol_declaration name: (_) @name) @protocol
(typealias_declaration name: (type_identifier) @name) @type
(associatedtype_declaration name: (_) @name) @type
(function_declaration "func" . name: (_) @name) @function
(protocol_function_declaration "func" . name: (_) @name) @method
(init_declaration "init" @name) @constructor
(subscript_declaration "subscript" @name) @method
(macro_declaration (simple_identifier) @name) @macro
(source_file (property_declaration name: (pattern bound_identifier: (simple_identifier) @name)) @constant)
(class_body (property_declaration name: (pattern bound_identifier: (simple_identifier) @name)) @property)
(enum_class_body (property_declaration name: (pattern bound_identifier: (simple_identifier) @name)) @property)
(protocol_property_declaration name: (pattern bound_identifier: (simple_identifier) @name)) @property
(import_declaration (identifier) @import)
