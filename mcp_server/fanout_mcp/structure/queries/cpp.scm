(function_definition
  declarator: (function_declarator
    declarator: [(identifier) (field_identifier) (qualified_identifier) (operator_name) (destructor_name)
      (template_function) (template_method)] @name)) @function
(function_definition
  declarator: (pointer_declarator declarator: (function_declarator declarator: (_) @name))) @function
(function_definition
  declarator: (reference_declarator (function_declarator declarator: (_) @name))) @function
(function_definition declarator: [(operator_cast) (qualified_identifier name: (operator_cast))] @name) @function
(declaration declarator: (function_declarator
  declarator: [(identifier) (qualified_identifier) (operator_name) (destructor_name)
    (template_function)] @name)) @function
(declaration
  declarator: (pointer_declarator
    declarator: (function_declarator declarator: [(identifier) (qualified_identifier)] @name))) @function
(declaration
  declarator: (reference_declarator
    (function_declarator declarator: [(identifier) (qualified_identifier) (operator_name)] @name))) @function
(field_declaration
  declarator: (function_declarator declarator: [(field_identifier) (operator_name)] @name)) @method
(field_declaration
  declarator: (pointer_declarator declarator: (function_declarator declarator: (field_identifier) @name))) @method
(field_declaration
  declarator: (reference_declarator
    (function_declarator declarator: [(field_identifier) (operator_name)] @name))) @method
(class_specifier name: (_) @name body: (_)) @class
(struct_specifier name: (_) @name body: (_)) @struct
(union_specifier name: (_) @name body: (_)) @union
(enum_specifier name: (_) @name body: (_)) @enum
(namespace_definition name: (_) @name) @namespace
(concept_definition name: (_) @name) @concept
(alias_declaration name: (_) @name) @type
(type_definition declarator: (type_identifier) @name) @type
(type_definition declarator: (pointer_declarator declarator: (type_identifier) @name)) @type
(type_definition
  declarator: (function_declarator
    declarator: (parenthesized_declarator
      (pointer_declarator declarator: (type_identifier) @name)))) @type
(preproc_function_def name: (identifier) @name) @macro
(preproc_def name: (identifier) @name value: (_)) @constant
(preproc_include path: (_) @import)
