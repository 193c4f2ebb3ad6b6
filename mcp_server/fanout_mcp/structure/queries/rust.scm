(function_item name: (_) @name) @function
(function_signature_item name: (_) @name) @function
(struct_item name: (_) @name) @struct
(enum_item name: (_) @name) @enum
(union_item name: (_) @name) @union
(trait_item name: (_) @name) @trait
(impl_item type: (_) @name) @impl
(mod_item name: (_) @name) @module
(macro_definition name: (_) @name) @macro
(type_item name: (_) @name) @type
(associated_type name: (_) @name) @type
(const_item name: (_) @name) @constant
(static_item name: (_) @name) @constant
; What a macro is given is tokens to the parser: a definition in there is told by its keyword.
(token_tree "fn" @function . (identifier) @name)
(token_tree "struct" @struct . (identifier) @name)
(token_tree "enum" @enum . (identifier) @name)
(token_tree "trait" @trait . (identifier) @name)
(token_tree "mod" @module . (identifier) @name . (token_tree))
(token_tree "type" @type . (identifier) @name . "=")
(token_tree "const" @constant . (identifier) @name . ":")
(token_tree "static" @constant . (identifier) @name . ":")
(token_tree "static" @constant . (identifier) @_ref . (identifier) @name . ":" (#eq? @_ref "ref"))
(use_declaration argument: (_) @import)
(extern_crate_declaration name: (_) @import)
