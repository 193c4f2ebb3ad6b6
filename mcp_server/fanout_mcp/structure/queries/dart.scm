; A signature and its body stand beside each other.
(class_definition name: (identifier) @name) @class
(mixin_declaration (identifier) @name) @class
(extension_declaration name: (identifier) @name) @impl
(extension_type_declaration name: (identifier) @name) @class
(enum_declaration name: (identifier) @name) @enum
(type_alias . (type_identifier) @name) @type
(function_signature name: (identifier) @name) @function
(getter_signature name: (identifier) @name) @property
(setter_signature name: (identifier) @name) @property
(operator_signature (binary_operator) @name) @method
(constructor_signature . name: (identifier) @name) @constructor
(constant_constructor_signature . (const_builtin) . (identifier) @name) @constructor
(factory_constructor_signature . (identifier) @name) @constructor
(redirecting_factory_constructor_signature (identifier) @name) @constructor
(program (static_final_declaration_list (static_final_declaration . (identifier) @name) @constant))
(declaration (static_final_declaration_list (static_final_declaration . (identifier) @name) @constant))
(library_export (configurable_uri (uri (string_literal) @name))) @export
(uri (string_literal) @import)
