; A block is named by its labels (captured.py).
(config_file (body (block . (identifier) @name) @block))
(block
  (identifier) @_kind
  (body (attribute
    (identifier) @_source
    (expression (literal_value (string_lit (template_literal) @import)))))
  (#eq? @_kind "module")
  (#eq? @_source "source"))
