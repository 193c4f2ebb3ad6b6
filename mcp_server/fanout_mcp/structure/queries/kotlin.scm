(class_declaration "class" name: (identifier) @name) @class
(class_declaration "interface" name: (identifier) @name) @interface
(object_declaration name: (identifier) @name) @object
(companion_object name: (identifier) @name) @object
(type_alias type: (identifier) @name) @type
(function_declaration name: (identifier) @name) @function
(secondary_constructor "constructor" @name) @constructor
(source_file (property_declaration (variable_declaration (identifier) @name)) @constant)
(class_body (property_declaration (variable_declaration (identifier) @name)) @property)
(enum_class_body (property_declaration (variable_declaration (identifier) @name)) @property)
(import) @import
(package_header (_) @package)
