(contract_declaration name: (identifier) @name) @class
(library_declaration name: (identifier) @name) @class
(interface_declaration name: (identifier) @name) @interface
(struct_declaration name: (identifier) @name) @struct
(enum_declaration name: (identifier) @name) @enum
(event_definition name: (identifier) @name) @event
(error_declaration name: (identifier) @name) @error
(modifier_definition name: (identifier) @name) @modifier
(function_definition name: (identifier) @name) @function
(constructor_definition "constructor" @name) @constructor
(fallback_receive_definition ["receive" "fallback"] @name) @function
(state_variable_declaration name: (identifier) @name) @property
(constant_variable_declaration name: (identifier) @name) @constant
(user_defined_type_definition name: (identifier) @name) @type
(import_directive source: (string) @import)
