/** Grammar of the graph text form, shared by the graph parser and, by inheritance, the rule parser. */
import { createRequire } from 'node:module';
import type * as Ohm from 'ohm-js';
import { once } from './once.ts';

/** Ranges instead of ohm's `letter`, `digit` and `any`: each use of a rule costs microseconds, and texts are megabytes. */
export const GRAPH_GRAMMAR = String.raw`
Graph {
  File      = Function+
  Function  = "graph" "@" ident "(" ListOf<Argument, ","> ")" Part? "{" Node* Update* Return "}"
  Part      = integer "times" "before" "@" ident
  Argument  = value ":" Type
  Node      = value "=" ident Copy? ListOf<value, ","> Attrs? ":" Type Location?
  Copy      = "#" integer
  Update    = "update" value "=" value
  Return    = "return" ListOf<Result, ",">
  Result    = ident "=" value
  Attrs     = "{" ListOf<Attr, ","> "}"
  Attr      = ident "=" AttrValue
  AttrValue = "data" "[" ListOf<number, ","> "]"  -- data
            | "data" string                       -- base64
            | "[" ListOf<number, ","> "]"         -- list
            | Function                            -- graph
            | "@" ident                           -- same
            | string                              -- string
            | number                              -- number
            | bool                                -- bool
  Type      = ident "[" ListOf<integer, ","> "]"
  Location  = "@" place
  place     = ("\u{0}".."\u{9}" | "\u{b}".."\u{10FFFF}")+
  value     = "%" ("a".."z" | "A".."Z" | "0".."9" | "_" | "." | "$" | letter)+
  ident     = ("a".."z" | "A".."Z" | "_" | letter) ("a".."z" | "A".."Z" | "0".."9" | "_" | "." | letter)*
  integer   = ("0".."9")+
  number    = "-"? (decimal | "Infinity" | "NaN")
  decimal   = ("0".."9")+ ("." ("0".."9")+)? exponent?
  exponent  = ("e" | "E") ("+" | "-")? digit+
  bool      = ("true" | "false") ~alnum
  string    = "\"" ("#".."[" | "]".."\u{10FFFF}" | " ".."!" | escape)* "\""
  escape    = "\\" any
  comment   = "//" (~"\n" any)*
  space    += comment
}`;

/** Loaded on first use: a model that is compiled or run as it was before parses nothing. */
export const ohm = once(() => createRequire(import.meta.url)('ohm-js') as typeof Ohm);

export const graphGrammar = once(() => ohm().grammar(GRAPH_GRAMMAR));
