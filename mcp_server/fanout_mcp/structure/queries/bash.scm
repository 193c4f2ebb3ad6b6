(function_definition name: (word) @name) @function
(command
  name: (command_name) @_call
  argument: (_) @import
  (#any-of? @_call "source" "."))
