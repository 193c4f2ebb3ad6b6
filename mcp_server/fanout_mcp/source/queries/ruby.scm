(method name: (_) @name) @method
(singleton_method name: (_) @name) @method
(class name: (_) @name) @class
(module name: (_) @name) @module
(call
  method: (identifier) @_call
  arguments: (argument_list . (string) @import)
  (#any-of? @_call "require" "require_relative" "load"))
