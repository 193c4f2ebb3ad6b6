(method name: (_) @name) @method
(singleton_method name: (_) @name) @method
(alias name: (_) @name) @method
(class name: (_) @name) @class
(module name: (_) @name) @module
(assignment left: (constant) @name) @constant
(call
  method: (identifier) @_call
  arguments: (argument_list (simple_symbol) @name @attribute)
  (#any-of? @_call "attr_accessor" "attr_reader" "attr_writer"))
(call
  method: (identifier) @_call
  arguments: (argument_list . (simple_symbol) @name)
  (#any-of? @_call "alias_method" "define_method")) @method
(call
  method: (identifier) @_call
  arguments: (argument_list . (string))
  (#any-of? @_call "require" "require_relative" "load")) @import
