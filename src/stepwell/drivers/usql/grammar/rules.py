"""The rules of U-SQL, as Lark reads them.

After a change here, write the tables anew: `python -m stepwell.drivers.usql.grammar.write_tables`.
"""

from __future__ import annotations

from stepwell.drivers.usql.grammar.words import RESERVED

_RULES = r"""
start: (statement | ";")*
?statement: declare | assign | output | use
declare: "DECLARE" [DECLARED] VARIABLE [type] "=" expr ";"
assign: VARIABLE "=" query ";"
output: "OUTPUT" output_source "TO" expr [order_by] [offset] [fetch] "USING" expr ";"
?output_source: VARIABLE -> rowset | "(" query ")"
use: "USE" ["DATABASE" | "SCHEMA"] name ("." name)* ";"

query: query_body [order_by] [offset] [fetch]
?query_body: query_body SET_OPERATOR [SET_OPTION] [by_name] intersection -> set_query | intersection
?intersection: intersection INTERSECT [SET_OPTION] [by_name] query_term -> set_query | query_term
?query_term: select | extract | VARIABLE -> rowset | "(" query ")" | "VALUES" row ("," row)* -> values
by_name: BY_NAME
select: "SELECT" [DISTINCT] select_item ("," select_item)* "FROM" joined [where] [group_by] [having]
?select_item: "*" -> star | postfix "." "*" -> star_of | expr ["AS" name] -> item
where: "WHERE" expr
group_by: "GROUP" "BY" group_item ("," group_item)*
group_item: expr ["AS" name]
having: "HAVING" expr
order_by: "ORDER" "BY" sort_item ("," sort_item)*
sort_item: expr [DIRECTION]
offset: "OFFSET" expr ("ROW" | "ROWS")
fetch: "FETCH" ["FIRST" | "NEXT"] expr ["ROWS" | "ROW"] ["ONLY"]
extract: "EXTRACT" column ("," column)* "FROM" expr ("," expr)* "USING" expr
column: name type
?joined: source
    | joined JOIN source "ON" expr -> join
    | joined CROSS_JOIN source -> cross_join
    | joined APPLY explode -> apply
explode: "EXPLODE" "(" expr ")" "AS" name ["(" name ("," name)* ")"]
source: VARIABLE ["AS" name] -> rowset_source
    | "(" query ")" ["AS" name [names]] -> query_source
    | name ("." name)+ ["AS" name] -> catalog_source
    | name ["AS" name] -> catalog_source
names: "(" name ("," name)* ")"
row: "(" expr ("," expr)* ")"

?expr: expr "OR" and_expr -> or_ | and_expr
?and_expr: and_expr "AND" not_expr -> and_ | not_expr
?not_expr: "NOT" not_expr -> not_ | ternary
?ternary: coalesce "?" expr ":" ternary -> conditional | coalesce
?coalesce: either "??" coalesce | either
?either: either "||" both -> or_ | both
?both: both "&&" bits_or -> and_ | bits_or
?bits_or: bits_or "|" bits_xor -> bits | bits_xor
?bits_xor: bits_xor BIT_XOR bits_and -> binary | bits_and
?bits_and: bits_and BIT_AND equality -> binary | equality
?equality: equality EQUALITY relation -> compare | relation
?relation: relation ORDER shift -> compare
    | relation "<" shift -> less
    | relation ">" shift -> greater
    | relation [NOT] "IN" "(" expr ("," expr)* ")" -> in_
    | relation [NOT] "BETWEEN" shift "AND" shift -> between
    | relation [NOT] "LIKE" shift -> like
    | relation "IS" [NOT] NULL -> is_null
    | shift
?shift: shift SHIFT additive -> binary | additive
?additive: additive ADD factor -> binary | factor
?factor: factor "*" unary -> times | factor DIVIDE unary -> binary | unary
?unary: ADD unary -> sign | "!" unary -> not_ | "~" unary -> complement | "(" type ")" unary -> cast | postfix
?postfix: primary
    | postfix "." name -> member
    | postfix "[" expr "]" -> index
    | postfix "(" [arguments] ")" [within] [over] -> call
    | TYPE "." name -> static_member
within: "WITHIN" "GROUP" "(" order_by ")"
over: "OVER" "(" [partition] [order_by] [frame] ")"
partition: "PARTITION" "BY" expr ("," expr)*
frame: frame_kind (frame_edge | "BETWEEN" frame_edge "AND" frame_edge)
frame_kind: "ROWS" -> rows | "RANGE" -> range
frame_edge: UNBOUNDED | CURRENT_ROW | INTEGER EDGE
arguments: argument ("," argument)*
?argument: expr | name ":" expr -> named | DISTINCT expr -> distinct | "*" -> every_row
?primary: name -> column_name
    | VARIABLE -> variable
    | STRING -> string
    | VERBATIM -> verbatim
    | CHARACTER -> character
    | INTEGER -> integer
    | REAL -> real
    | TRUE -> true
    | FALSE -> false
    | NULL -> null
    | "(" expr ")"
    | "new" new_type "(" [arguments] ")" -> new
    | "new" new_type ["(" [arguments] ")"] "{" [arguments] "}" -> new_list
    | "new" "[" "]" "{" [arguments] "}" -> new_array
    | "CASE" [expr] when+ ["ELSE" expr] "END" -> case
when: "WHEN" expr "THEN" expr
new_type: type | name ("." name)* -> other_type
type: TYPE [NULLABLE] -> type
    | TYPE "[" "]" -> array_type
    | _ARRAY "<" type ">" -> array_type
    | _MAP "<" type "," type ">" -> map_type
name: NAME | BRACKETED | GENERIC_AGGREGATE

DECLARED: "CONST" | "EXTERNAL"
SET_OPERATOR: /(OUTER\s+)?UNION\b|EXCEPT\b/
INTERSECT: /INTERSECT\b/
SET_OPTION: "ALL" | "DISTINCT"
BY_NAME: /BY\s+NAME(\s+ON\s*\([^)]*\))?/
DISTINCT.2: "DISTINCT"
DIRECTION: "ASC" | "DESC"
JOIN.3: /(INNER\s+|((LEFT|RIGHT|FULL)\s+)?OUTER\s+|(LEFT|RIGHT|FULL)\s+)?(PAIR\s+|HASH\s+|BROADCAST(LEFT|RIGHT)\s+|MERGE\s+|LOOP\s+)?(JOIN|SEMIJOIN|ANTISEMIJOIN)\b/
CROSS_JOIN.3: /CROSS\s+JOIN\b/
APPLY.3: /(CROSS|OUTER)\s+APPLY\b/
UNBOUNDED: /UNBOUNDED\s+(PRECEDING|FOLLOWING)\b/
CURRENT_ROW: /CURRENT\s+ROW\b/
EDGE: "PRECEDING" | "FOLLOWING"
NOT: "NOT"
NULL: "null" | "NULL"
TRUE: "true"
FALSE: "false"
NULLABLE: "?"
EQUALITY: "==" | "!="
ORDER: "<=" | ">="
SHIFT: "<<" | ">>"
ADD: "+" | "-"
DIVIDE: "/" | "%"
BIT_XOR: "^"
BIT_AND: "&"
TYPE.2: /(bool|sbyte|byte|short|ushort|int|uint|long|ulong|float|double|decimal|char|string|object|String|Int16|Int32|Int64|Boolean|Double|Single|Decimal|DateTime|Guid|TimeSpan)\b/
GENERIC_AGGREGATE.4: /ARRAY_AGG\s*<[^<>()]*>/
_ARRAY.3: /SQL\.ARRAY\b/
_MAP.3: /SQL\.MAP\b/
VARIABLE: /@[A-Za-z_]\w*/
STRING: /"(\\.|[^"\\\r\n])*"/
VERBATIM: /@"([^"]|"")*"/
CHARACTER: /'(\\.[0-9a-fA-F]*|[^'\\\r\n]+)'/
REAL: /(\d+\.\d+([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|\d+[eE][+-]?\d+)[fFdDmM]?|\d+[fFdDmM]\b/
INTEGER: /0[xX][0-9a-fA-F]+[uUlL]*|\d+[uUlL]*/
BRACKETED: /\[[^\]\r\n]+\]/
NAME: /(?!(?:RESERVED_WORDS)\b)[^\W\d]\w*/
%ignore /\s+/
%ignore /\/\/[^\r\n]*/
%ignore /\/\*(.|\n)*?\*\//
"""

GRAMMAR = _RULES.replace("RESERVED_WORDS", "|".join(sorted(RESERVED, key=lambda word: (-len(word), word))))
"""The rules, with the words that are no names."""
