"""Runs the little PowerShell that our scripts are written in, because no PowerShell runs here.

Other people's grammar (tree-sitter-powershell) parses; this walks the tree. What it does not know it refuses with
NotImplementedError, so that a script cannot use a construct whose meaning is only guessed at here. Rules: "PowerShell
Language Specification 3.0", and for strict mode and -ErrorAction the pages about_Preference_Variables and
Set-StrictMode.

Told apart as in PowerShell: a character from a text (adding two characters is refused, since it would add numbers), a
missing property or variable (an error, by strict mode), and an error of a command, which ends it only with
`-ErrorAction Stop`: the preference variable of a script does not reach the functions of a module.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

_PARSER = Parser(Language(tree_sitter_powershell.language()))

Command = Callable[..., Any]
"""A command of a module: parameters by name in lower case; positional ones as `arguments`. A list is several objects,
None is none.
"""


class CommandError(Exception):
    """What a command reports as an error."""


class ScriptError(Exception):
    """What `catch` catches: `$_.Exception.Message` is its text."""


class _Exit(Exception):
    def __init__(self, code: int) -> None:
        self.code = code


class _Return(Exception):
    def __init__(self, values: list[Any]) -> None:
        self.values = values


class _Break(Exception):
    pass


class Char(str):
    """`[char]`: one UTF-16 code unit."""


class Table(dict[str, Any]):
    """A hash table, ordered or not. Its keys' case does not count."""

    def key(self, name: str) -> str | None:
        return next((each for each in self if each.casefold() == name.casefold()), None)


@dataclass(frozen=True)
class Record:
    """An object with properties."""

    properties: Mapping[str, Any]

    def get(self, name: str) -> Any:
        for each, value in self.properties.items():
            if each.casefold() == name.casefold():
                return value
        raise ScriptError(f"The property '{name}' cannot be found on this object.")


def parse(script: str) -> Node:
    """The root of the tree. Raises AssertionError where the grammar finds an error or something missing."""
    root = _PARSER.parse(script.encode()).root_node
    wrong = [node for node in nodes(root) if node.is_error or node.is_missing]
    assert not wrong, f"{wrong[0].start_point}: {text(wrong[0])[:80]!r}"
    return root


def nodes(node: Node) -> Iterator[Node]:
    """It and everything below it."""
    yield node
    for child in node.children:
        yield from nodes(child)


def text(node: Node) -> str:
    assert node.text is not None
    return node.text.decode()


def evaluate(expression: str) -> Any:
    """The value of one expression without variables, read as the right side of an assignment."""
    run = Run({}, {})
    run.script(f"$value = {expression}\n")
    return run.variable("value")


@dataclass
class Run:
    """One run of a script. `commands`: what modules offer, by name in lower case."""

    commands: Mapping[str, Command]
    arguments: Mapping[str, Any]
    output: list[str] = field(default_factory=list)
    _scopes: list[dict[str, Any]] = field(default_factory=list)
    _functions: dict[str, Node] = field(default_factory=dict)

    def script(self, source: str) -> int:
        """Run it; the exit code. Raises ScriptError where nothing catches one."""
        self._scopes = [{"null": None, "true": True, "false": False, **self.arguments}]
        root = parse(source)
        try:
            for child in _parts(root):
                if child.type == "param_block":
                    self._bind_defaults(child)
                elif child.type != "comment":
                    self._statements(child)
        except _Exit as ended:
            return ended.code
        return 0

    def variable(self, name: str) -> Any:
        for scope in reversed(self._scopes):
            if name.casefold() in scope:
                return scope[name.casefold()]
        raise ScriptError(f"The variable '${name}' cannot be retrieved because it has not been set.")

    def _bind_defaults(self, block: Node) -> None:
        for parameter in [each for each in nodes(block) if each.type == "script_parameter"]:
            name = text(_found(parameter, "variable")[0])[1:].casefold()
            default = _found(parameter, "script_parameter_default")
            if name not in self._scopes[-1]:
                self._scopes[-1][name] = self._value(default[0].children[-1]) if default else None

    # --- statements -----------------------------------------------------------------------------------------

    def _statements(self, node: Node) -> list[Any]:
        """What its statements leave in the pipeline."""
        node = _core(node)
        if node.type in ("statement_list", "statement_block", "script_block", "script_block_body"):
            return [value for child in _parts(node) for value in self._statements(child)]
        handler = getattr(self, f"_do_{node.type}", None)
        if handler is not None:
            made: list[Any] = handler(node)
            return made
        if node.type in ("comment", "empty_statement", "param_block"):
            return []
        return _spread(self._value(node))

    def _do_assignment_expression(self, node: Node) -> list[Any]:
        target, operator, value = _parts(node)
        target, new = _core(target), self._value(value)
        if text(operator) == "+=":
            new = _add(self._value(target), new)
        elif text(operator) != "=":
            raise NotImplementedError(text(operator))
        if target.type == "element_access":
            owner, key = (self._value(each) for each in _parts(target))
            if not isinstance(owner, Table):
                raise NotImplementedError(text(target))
            owner[owner.key(key) or key] = new
        elif target.type == "variable":
            self._scopes[-1][text(target)[1:].casefold()] = new
        else:
            raise NotImplementedError(target.type)
        return []

    def _do_if_statement(self, node: Node) -> list[Any]:
        condition = node.child_by_field_name("condition")
        assert condition is not None
        if _truth(self._value(condition)):
            return self._statements(_found(node, "statement_block")[0])
        for clauses in _found(node, "elseif_clauses"):
            for clause in _found(clauses, "elseif_clause"):
                condition = clause.child_by_field_name("condition")
                assert condition is not None
                if _truth(self._value(condition)):
                    return self._statements(_found(clause, "statement_block")[0])
        for clause in _found(node, "else_clause"):
            return self._statements(_found(clause, "statement_block")[0])
        return []

    def _do_foreach_statement(self, node: Node) -> list[Any]:
        variable, among, block = _parts(node)
        made: list[Any] = []
        try:
            for each in _spread(self._value(among)):
                self._scopes[-1][text(variable)[1:].casefold()] = each
                made += self._statements(block)
        except _Break:
            pass
        return made

    def _do_try_statement(self, node: Node) -> list[Any]:
        clauses = _found(_found(node, "catch_clauses")[0], "catch_clause")
        if len(clauses) != 1 or _found(node, "finally_clause"):
            raise NotImplementedError(text(node))
        try:
            return self._statements(_found(node, "statement_block")[0])
        except ScriptError as error:
            caught = Record({"Exception": Record({"Message": str(error)})})
            self._scopes[-1]["_"] = caught
            return self._statements(_found(clauses[0], "statement_block")[0])

    def _do_function_statement(self, node: Node) -> list[Any]:
        self._functions[text(_found(node, "function_name")[0]).casefold()] = node
        return []

    def _do_flow_control_statement(self, node: Node) -> list[Any]:
        values = [self._value(child) for child in _parts(node)]
        match text(node.children[0]):
            case "exit":
                raise _Exit(values[0])
            case "return":
                raise _Return(values)
            case "break":
                raise _Break
            case other:
                raise NotImplementedError(other)

    # --- commands -------------------------------------------------------------------------------------------

    def _do_pipeline_chain(self, node: Node) -> list[Any]:
        first, *others = _parts(node)
        if [text(other).strip() for other in others] != ["Out-Null"]:
            raise NotImplementedError(text(node))
        self._statements(first)
        return []

    def _do_command(self, node: Node) -> list[Any]:
        named, positional = self._bound(node)
        return self._called(text(_found(node, "command_name")[0]), named, positional)

    def _do_command_name(self, node: Node) -> list[Any]:
        return self._called(text(node), {}, [])

    def _bound(self, node: Node) -> tuple[dict[str, Any], list[Any]]:
        """The parameters by name in lower case, splatted ones too, and what has no name."""
        named: dict[str, Any] = {}
        positional: list[Any] = []
        waiting = ""
        for elements in _found(node, "command_elements"):
            for element in _parts(elements):
                part = _core(element)
                if part.type == "command_argument_sep":
                    continue
                if part.type == "command_parameter":
                    waiting = text(part)[1:].casefold()
                    _once(named, waiting, True)
                elif part.type == "variable" and text(part).startswith("@"):
                    for name, value in self.variable(text(part)[1:]).items():
                        _once(named, name.casefold(), value)
                    waiting = ""
                elif waiting:
                    named[waiting], waiting = self._argument(part), ""
                else:
                    positional.append(self._argument(part))
        return named, positional

    def _argument(self, node: Node) -> Any:
        return text(node) if node.type == "generic_token" else self._value(node)

    def _called(self, name: str, named: dict[str, Any], positional: list[Any]) -> list[Any]:
        if name == "Write-Host":
            self.output.append(" ".join(_text(value) for value in positional))
            return []
        if name == "Set-StrictMode":
            return []
        if name.casefold() in self._functions:
            return self._call(self._functions[name.casefold()], positional)
        stops = named.pop("erroraction", "") == "Stop"
        try:
            return _spread(self.commands[name.casefold()](*positional, **named))
        except CommandError as error:
            if stops:
                raise ScriptError(str(error)) from error
            self.output.append(f"not caught: {error}")
            return []

    def _call(self, function: Node, positional: Sequence[Any]) -> list[Any]:
        names = [text(each)[1:].casefold() for each in _parameters(function)]
        if len(positional) != len(names):
            raise NotImplementedError("a parameter without a value")
        self._scopes.append(dict(zip(names, positional, strict=True)))
        made: list[Any] = []
        try:
            made += self._statements(_found(function, "script_block")[0])
        except _Return as returned:
            made += returned.values
        finally:
            self._scopes.pop()
        return made

    # --- expressions ----------------------------------------------------------------------------------------

    def _value(self, node: Node) -> Any:
        node = _core(node)
        handler = getattr(self, f"_is_{node.type}", None)
        if handler is None:
            if node.type in ("command", "command_name", "pipeline_chain"):
                return _joined(self._statements(node))
            raise NotImplementedError(f"{node.type}: {text(node)[:60]}")
        return handler(node)

    def _is_variable(self, node: Node) -> Any:
        return self.variable(text(node)[1:])

    def _is_verbatim_string_characters(self, node: Node) -> str:
        return text(node)[1:-1].replace("''", "'")

    def _is_decimal_integer_literal(self, node: Node) -> int:
        return int(text(node))

    def _is_real_literal(self, node: Node) -> float:
        return float(text(node))

    def _is_hexadecimal_integer_literal(self, node: Node) -> int:
        return int(text(node), 16)

    def _is_expandable_string_literal(self, node: Node) -> str:
        assert node.text is not None
        if b"`" in node.text:
            raise NotImplementedError("an escape in a string")
        at, made = 1, ""
        for child in _parts(node):
            start, end = child.start_byte - node.start_byte, child.end_byte - node.start_byte
            made += node.text[at:start].decode() + _text(self._value(child))
            at = end
        return made + node.text[at:-1].decode()

    def _is_sub_expression(self, node: Node) -> Any:
        return _joined([value for child in _parts(node) for value in self._statements(child)])

    _is_parenthesized_expression = _is_sub_expression

    def _is_array_expression(self, node: Node) -> list[Any]:
        return [value for child in _parts(node) for value in self._statements(child)]

    def _is_array_literal_expression(self, node: Node) -> list[Any]:
        return [self._value(child) for child in _parts(node)]

    def _is_hash_literal_expression(self, node: Node) -> Table:
        table = Table()
        for entry in nodes(node):
            if entry.type == "hash_entry":
                name, value = text(_parts(entry)[0]), _parts(entry)[1]
                assert table.key(name) is None, f"{name} twice"
                table[name] = self._value(value)
        return table

    def _is_cast_expression(self, node: Node) -> Any:
        kind, value = text(_parts(node)[0]), self._value(_parts(node)[1])
        match kind:
            case "[string]":
                return _text(value)
            case "[char]":
                return Char(chr(value))
            case "[ordered]":
                return value
        raise NotImplementedError(kind)

    def _is_additive_expression(self, node: Node) -> Any:
        left, right = _parts(node)
        if text(node.children[1]) != "+":
            raise NotImplementedError(text(node))
        return _add(self._value(left), self._value(right))

    def _is_comparison_expression(self, node: Node) -> bool:
        left, operator, right = _parts(node)
        one, other = self._value(left), self._value(right)
        if isinstance(one, list):
            raise NotImplementedError("a comparison that would filter an array")
        match text(operator):
            case "-eq":
                return _equal(one, other)
            case "-ne":
                return not _equal(one, other)
            case "-gt":
                return bool(one > other)
        raise NotImplementedError(text(operator))

    def _is_logical_expression(self, node: Node) -> bool:
        left, right = _parts(node)
        first = _truth(self._value(left))
        match text(node.children[1]):
            case "-and":
                return first and _truth(self._value(right))
            case "-or":
                return first or _truth(self._value(right))
        raise NotImplementedError(text(node))

    def _is_expression_with_unary_operator(self, node: Node) -> bool:
        if text(node.children[0]) != "-not":
            raise NotImplementedError(text(node))
        return not _truth(self._value(_parts(node)[0]))

    def _is_element_access(self, node: Node) -> Any:
        owner, key = (self._value(child) for child in _parts(node))
        if isinstance(owner, Table):
            known = owner.key(key)
            return None if known is None else owner[known]
        if isinstance(owner, list):
            return owner[key] if key < len(owner) else None
        raise NotImplementedError(text(node))

    def _is_member_access(self, node: Node) -> Any:
        owner, member = _parts(node)
        if text(node) == "[System.StringComparison]::Ordinal":
            return "Ordinal"
        value = self._value(owner)
        member = _core(member)
        name = text(member) if member.type == "simple_name" else _text(self._value(member))
        match value, name:
            case list(), "Count":
                return len(value)
            case Table(), "Keys":
                return list(value)
            case Record(), _:
                return value.get(name)
        raise ScriptError(f"The property '{name}' cannot be found on this object.")

    def _is_invokation_expression(self, node: Node) -> Any:
        arguments = [
            self._value(each)
            for found in _found(node, "argument_list")
            for listed in _parts(found)
            for each in ([listed] if listed.type != "argument_expression_list" else _parts(listed))
        ]
        owner, member = _parts(node)[:2]
        if text(owner) == "[string]" and text(member) == "Equals" and arguments[2] == "Ordinal":
            return arguments[0] == arguments[1]
        value = self._value(owner)
        match value, text(member):
            case Table(), "Contains":
                return value.key(arguments[0]) is not None
            case Record(), name if callable(method := value.get(name)):
                return method(*arguments)
        raise NotImplementedError(text(node))


def _core(node: Node) -> Node:
    """Without the rungs of the ladder of precedences that say nothing."""
    while node.type != "expandable_string_literal" and node.child_count == 1 and node.children[0].is_named:
        node = node.children[0]
    return node


def _parts(node: Node) -> list[Node]:
    """Its named children that mean something."""
    return [child for child in node.named_children if child.type != "comment"]


def _found(node: Node, kind: str) -> list[Node]:
    return [child for child in _parts(node) if child.type == kind]


def _parameters(function: Node) -> list[Node]:
    return [
        _found(each, "variable")[0]
        for each in nodes(function)
        if each.type == "script_parameter" and _found(each, "variable")
    ]


def _once(named: dict[str, Any], name: str, value: Any) -> None:
    assert name not in named, f"parameter {name} twice"
    named[name] = value


def _spread(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _joined(values: list[Any]) -> Any:
    return None if not values else values[0] if len(values) == 1 else values


def _truth(value: Any) -> bool:
    if isinstance(value, list) and len(value) == 1:
        return _truth(value[0])
    return bool(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return " ".join(_text(each) for each in value)
    return str(value)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one.casefold() == other.casefold()
    return bool(one == other)


def _add(left: Any, right: Any) -> Any:
    if isinstance(left, list):
        return [*left, *_spread(right)]
    if isinstance(left, Char) or not isinstance(left, (str, int)):
        raise NotImplementedError("an addition to something other than a text, a number or an array")
    return f"{left}{_text(right)}" if isinstance(left, str) else left + right
