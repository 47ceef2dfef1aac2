/** Grammar of the graph text form, shared by the graph parser and, by inheritance, the rule parser. */
import * as ohm from 'ohm-js';

export const GRAPH_GRAMMAR = String.raw`
Graph {
  File      = Function+
  Function  = "graph" "@" ident "(" ListOf<Argument, ","> ")" "{" Node* Update* Return "}"
  Argument  = value ":" Type
  Node      = value "=" ident ListOf<value, ","> Attrs? ":" Type Location?
  Update    = "update" value "=" value
  Return    = "return" ListOf<Result, ",">
  Result    = ident "=" value
  Attrs     = "{" ListOf<Attr, ","> "}"
  Attr      = ident "=" AttrValue
  AttrValue = "data" "[" ListOf<number, ","> "]"  -- data
            | "data" string                       -- base64
            | "[" ListOf<number, ","> "]"         -- list
            | string                              -- string
            | number                              -- number
            | bool                                -- bool
  Type      = ident "[" ListOf<integer, ","> "]"
  Location  = "@" place
  place     = (~"\n" any)+
  value     = "%" (alnum | "_" | "." | "$")+
  ident     = (letter | "_") (alnum | "_" | ".")*
  integer   = digit+
  number    = "-"? (decimal | "Infinity")
  decimal   = digit+ ("." digit+)? exponent?
  exponent  = ("e" | "E") ("+" | "-")? digit+
  bool      = ("true" | "false") ~alnum
  string    = "\"" (escape | ~"\"" any)* "\""
  escape    = "\\" any
  comment   = "//" (~"\n" any)*
  space    += comment
}`;

export const graphGrammar = ohm.grammar(GRAPH_GRAMMAR);
