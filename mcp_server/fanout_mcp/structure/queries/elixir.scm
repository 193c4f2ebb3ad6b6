(call target: (identifier) @_k (arguments . (_) @name) (#any-of? @_k "defmodule" "defprotocol")) @module
(call target: (identifier) @_k (arguments . (alias) @name) (#eq? @_k "defimpl")) @impl
(call
  target: (identifier) @_k
  (arguments . [
    (identifier) @name
    (call target: (identifier) @name)
    (binary_operator left: (identifier) @name operator: "when")
    (binary_operator left: (call target: (identifier) @name) operator: "when")])
  (#any-of? @_k "def" "defp" "defdelegate" "defguard" "defguardp" "defn" "defnp")) @function
(call
  target: (identifier) @_k
  (arguments . [
    (identifier) @name
    (call target: (identifier) @name)
    (binary_operator left: (call target: (identifier) @name) operator: "when")])
  (#any-of? @_k "defmacro" "defmacrop")) @macro
(unary_operator operand: (call
  target: (identifier) @_k
  (arguments (binary_operator left: (call target: (identifier) @name))))
  (#any-of? @_k "callback" "macrocallback")) @callback
(unary_operator operand: (call
  target: (identifier) @_k
  (arguments (binary_operator left: [(identifier) @name (call target: (identifier) @name)])))
  (#any-of? @_k "type" "typep" "opaque")) @type
(call
  target: (identifier) @_k
  (arguments . (_) @import)
  (#any-of? @_k "alias" "import" "use" "require"))
