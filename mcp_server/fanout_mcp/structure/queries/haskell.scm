(data_type name: (_) @name) @type
(newtype name: (_) @name) @type
(type_synonym name: (_) @name) @type
(class name: (_) @name) @class
(instance name: (_) @name) @impl
(declarations (signature name: (_) @name) @function)
(declarations (signature names: (binding_list name: (_) @name)) @function)
(class_declarations (signature name: (_) @name) @method)
(declarations (function name: (_) @name) @function)
(declarations (bind name: (variable) @name) @function)
(exports (export variable: (_) @exported))
(exports (export type: (_) @exported))
(imports (import module: (_) @import))
(header module: (_) @package)
