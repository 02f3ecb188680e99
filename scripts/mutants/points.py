"""Finds the places in a source file where a small wrong change can be made, from clang's AST.

A place (Point) is a range of the text and one or more changes of it. Changes are written as text
with the ranges that they keep, so that a change inside another one's range nests.
"""
import os
import re
from dataclasses import dataclass, field

from clang import cindex
from clang.cindex import CursorKind as K

COMPARISONS = {'<': ['<=', '>='], '<=': ['<', '>'], '>': ['>=', '<='], '>=': ['>', '<'], '==': ['!='], '!=': ['==']}
SIGNS = {'+': ['-'], '-': ['+'], '+=': ['-='], '-=': ['+=']}
FUNCTIONS = {K.FUNCTION_DECL, K.CXX_METHOD, K.CONSTRUCTOR, K.DESTRUCTOR, K.FUNCTION_TEMPLATE, K.CONVERSION_FUNCTION}
STATEMENTS = {K.CALL_EXPR, K.BINARY_OPERATOR, K.COMPOUND_ASSIGNMENT_OPERATOR, K.UNARY_OPERATOR, K.UNEXPOSED_EXPR}
# Words for people are judged by eye, and a CHECK is not to be reached.
SPARED = re.compile(r'^(spdlog::|SPDLOG_|[A-Z][A-Z_]+\()')


@dataclass
class Change:
    what: str            # for people: "a < b -> a <= b"
    kind: str            # comparison, half, negation, statement, constant, value, sign
    pieces: list         # strings, and (start, end) of text that is kept


@dataclass
class Point:
    start: int
    end: int
    line: int
    changes: list = field(default_factory=list)
    whole: str = 'expression'   # or 'statement': the range ends behind its semicolon; or 'void'


def one_line(text):
    text = re.sub(r'\s+', ' ', text).strip()
    return text if len(text) <= 90 else text[:87] + '...'


class Finder:
    def __init__(self, path, arguments):
        self.path = os.path.realpath(path)
        with open(path, encoding='utf-8') as f:
            self.text = f.read()
        self.bytes = self.text.encode()
        unit = cindex.Index.create().parse(path, args=arguments)
        fatal = [d for d in unit.diagnostics if d.severity >= cindex.Diagnostic.Error]
        if fatal:
            raise RuntimeError(f'{path}: {fatal[0].location.line}: {fatal[0].spelling}')
        self.points = {}
        for cursor in unit.cursor.get_children():
            if cursor.location.file and os.path.realpath(cursor.location.file.name) == self.path:
                self.declaration(cursor)

    def slice(self, start, end):
        return self.bytes[start:end].decode()

    def declaration(self, cursor):
        if cursor.kind in FUNCTIONS:
            head = self.slice(cursor.extent.start.offset, cursor.extent.end.offset).split('{')[0]
            if 'constexpr' in head or 'consteval' in head:
                return
            for child in cursor.get_children():
                if child.kind == K.COMPOUND_STMT:
                    self.visit(child, cursor)
            return
        for child in cursor.get_children():
            if child.kind.is_declaration():
                self.declaration(child)

    def add(self, start, end, line, what, kind, pieces, whole='expression'):
        point = self.points.setdefault((start, end, whole), Point(start, end, line, [], whole))
        point.changes.append(Change(what, kind, pieces))

    def visit(self, cursor, parent):
        kind = cursor.kind
        children = list(cursor.get_children())
        if kind in (K.BINARY_OPERATOR, K.COMPOUND_ASSIGNMENT_OPERATOR) and len(children) == 2:
            self.binary(children[0], children[1], parent)
        elif kind == K.CALL_EXPR:
            arguments = list(cursor.get_arguments())
            if cursor.spelling.startswith('operator') and len(arguments) == 2:
                self.binary(arguments[0], arguments[1], parent)
            self.extreme(cursor)
        elif kind == K.IF_STMT:
            self.condition(cursor, children)
        elif kind == K.CONDITIONAL_OPERATOR and children:
            self.negate(children[0])
        elif kind == K.UNARY_OPERATOR and len(children) == 1:
            self.unary(cursor, children[0])
        elif kind == K.INTEGER_LITERAL:
            self.constant(cursor)
        elif kind == K.CXX_BOOL_LITERAL_EXPR:
            self.boolean(cursor)
        if kind == K.COMPOUND_STMT:
            for child in children:
                self.statement(child)
        elif kind in (K.IF_STMT, K.FOR_STMT, K.CXX_FOR_RANGE_STMT, K.WHILE_STMT) and children:
            for child in children[1:]:
                self.body(cursor, child)
        for child in children:
            if kind == K.CASE_STMT and child == children[0]:
                continue  # a label
            if child.kind in (K.STATIC_ASSERT, K.TYPE_REF, K.TEMPLATE_REF, K.NAMESPACE_REF):
                continue
            if child.kind == K.VAR_DECL and 'constexpr' in self.slice(child.extent.start.offset, child.extent.end.offset):
                continue
            self.visit(child, cursor)

    def binary(self, left, right, parent):
        start, end = left.extent.start.offset, right.extent.end.offset
        gap = self.slice(left.extent.end.offset, right.extent.start.offset) if left.extent.end.offset < right.extent.start.offset else ''
        operator = gap.strip()
        a, b = (start, left.extent.end.offset), (right.extent.start.offset, end)
        line = left.extent.start.line
        text = one_line(self.slice(start, end))
        if operator in COMPARISONS:
            for other in COMPARISONS[operator]:
                self.add(start, end, line, f'{text}  ->  {other}', 'comparison', [a, f' {other} ', b])
        elif operator in ('&&', '||'):
            for keep, word in ((a, 'second half dropped'), (b, 'first half dropped')):
                self.add(start, end, line, f'{text}  ->  {word}', 'half', ['bool(', keep, ')'])
        elif operator in SIGNS and not re.search(r'"', text):
            for other in SIGNS[operator]:
                self.add(start, end, line, f'{text}  ->  {other}', 'sign', [a, f' {other} ', b])

    def unary(self, cursor, operand):
        start, end = cursor.extent.start.offset, cursor.extent.end.offset
        if self.bytes[start:start + 1] != b'!' or operand.extent.start.offset <= start:
            return
        self.add(start, end, cursor.extent.start.line, f'{one_line(self.slice(start, end))}  ->  not negated', 'negation',
                 ['bool(', (operand.extent.start.offset, end), ')'])

    def negate(self, condition):
        start, end = condition.extent.start.offset, condition.extent.end.offset
        if start >= end:
            return
        self.add(start, end, condition.extent.start.line, f'{one_line(self.slice(start, end))}  ->  negated', 'negation',
                 ['!bool(', (start, end), ')'])

    def condition(self, cursor, children):
        for i, child in enumerate(children[:-1]):
            if not child.kind.is_expression():
                continue
            start, end = child.extent.start.offset, child.extent.end.offset
            before = self.slice(cursor.extent.start.offset, start).rstrip()
            after = self.slice(end, children[i + 1].extent.start.offset).strip() if end < children[i + 1].extent.start.offset else ''
            if before.endswith(('(', ';')) and after == ')' and 'constexpr' not in before:
                self.negate(child)
            return

    def extreme(self, cursor):
        if cursor.spelling not in ('min', 'max'):
            return
        start, end = cursor.extent.start.offset, cursor.extent.end.offset
        text = self.slice(start, end)
        name = f'std::{cursor.spelling}'
        if not text.startswith(name):
            return
        other = 'std::max' if cursor.spelling == 'min' else 'std::min'
        self.add(start, end, cursor.extent.start.line, f'{one_line(text)}  ->  {other}', 'value', [other, (start + len(name), end)])

    def constant(self, cursor):
        start, end = cursor.extent.start.offset, cursor.extent.end.offset
        text = self.slice(start, end)
        if not re.fullmatch(r"[0-9][0-9']*[uUlL]*", text):
            return
        others = [f'{text} + 1'] if re.fullmatch(r"0+[uUlL]*", text) else [f'{text} + 1', f'{text} - 1']
        for other in others:
            self.add(start, end, cursor.extent.start.line, f'{text}  ->  {other}', 'constant', [f'({other})'])

    def boolean(self, cursor):
        start, end = cursor.extent.start.offset, cursor.extent.end.offset
        text = self.slice(start, end)
        if text in ('true', 'false'):
            other = 'false' if text == 'true' else 'true'
            self.add(start, end, cursor.extent.start.line, f'{text}  ->  {other}', 'value', [other])

    def body(self, cursor, child):
        # Of an if, for or while without braces.
        if child.kind == K.COMPOUND_STMT:
            return
        before = self.slice(cursor.extent.start.offset, child.extent.start.offset).rstrip() \
            if cursor.extent.start.offset < child.extent.start.offset else ''
        if before.endswith((')', 'else')):
            self.statement(child)

    def statement(self, cursor):
        start, end = cursor.extent.start.offset, cursor.extent.end.offset
        if start >= end:
            return
        text = self.slice(start, end)
        rest = self.bytes[end:end + 80].decode(errors='ignore').lstrip()
        if SPARED.match(text) or not rest.startswith(';'):
            return
        what = f'{one_line(text)}  ->  left out'
        line = cursor.extent.start.line
        if cursor.kind in STATEMENTS:
            self.add(start, end, line, what, 'statement', ['void()'], 'void')
        elif cursor.kind in (K.CONTINUE_STMT, K.BREAK_STMT) or (cursor.kind == K.RETURN_STMT and text == 'return'):
            semicolon = self.bytes.index(b';', end) + 1
            self.add(start, semicolon, line, what, 'statement', [''], 'statement')


def find(path, arguments):
    finder = Finder(path, arguments)
    points = sorted(finder.points.values(), key=lambda p: (p.start, -p.end))
    for point in points:  # the same change found by two ways through the tree
        unique = {}
        for change in point.changes:
            unique.setdefault(change.what, change)
        point.changes = list(unique.values())
    return finder.bytes, points


def render(source, chosen):
    """The text with all chosen changes in it: [(number, point, change)]."""
    points = {}
    for number, point, change in chosen:
        points.setdefault((point.start, point.end, point.whole), (point, []))[1].append((number, change))
    # Outer before inner; of the same range the statement before the expression.
    order = sorted(points.values(), key=lambda p: (p[0].start, -p[0].end, p[0].whole == 'expression'))

    def inside(start, end, first):
        """Renders a range, with the points of order[first:] that lie in it."""
        out, at, i = [], start, first
        while i < len(order):
            point, changes = order[i]
            if point.start >= end:
                break
            if point.start < at or point.end > end:
                i += 1
                continue
            out.append(source[at:point.start].decode())
            out.append(place(point, changes, i + 1))
            at = point.end
            i += 1
        out.append(source[at:end].decode())
        return ''.join(out)

    def place(point, changes, first):
        kept = inside(point.start, point.end, first)
        if point.whole == 'statement':
            return f'{{ if (!mutant({changes[0][0]})) {kept} }}'
        if point.whole == 'void':
            return f'(mutant({changes[0][0]}) ? void() : void({kept}))'
        text = ''
        for number, change in changes:
            other = ''.join(p if isinstance(p, str) else inside(p[0], p[1], first) for p in change.pieces)
            text += f'mutant({number}) ? ({other}) : '
        return f'({text}({kept}))'

    return inside(0, len(source), 0)
