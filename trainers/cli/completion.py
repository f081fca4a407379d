"""`bprop completion`: commands, options, configs and files completed by the shell."""

import argparse

from .command import OK, add_parser

DESCRIPTION = """\
Print a script by which the shell completes commands, options, choices, names of configs, and files.
"""
MORE = """\
examples:
  eval "$(bprop completion bash)"           in ~/.bashrc
  eval "$(bprop completion zsh)"            in ~/.zshrc, after compinit
  bprop completion fish | source            in ~/.config/fish/config.fish
"""
BASH = """\
_bprop() {{
    local command="" words="" i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "${{COMP_WORDS[i]}}" in {commands}) command="${{COMP_WORDS[i]}}"; break ;; esac
    done
    case "$command" in
{cases}
    esac
    COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
    if [ -n "$command" ] && [[ "${{COMP_WORDS[COMP_CWORD]}}" != -* ]]; then
        local IFS=$'\\n'
        COMPREPLY+=($(compgen -f -- "${{COMP_WORDS[COMP_CWORD]}}"))
    fi
}}
complete -o filenames -F _bprop bprop
"""
ZSH = "autoload -Uz bashcompinit && bashcompinit\n" + BASH


def add_command(commands) -> None:
    """Add the command to the parser."""
    parser = add_parser(commands, "completion", run, "complete commands in the shell", DESCRIPTION, MORE)
    parser.add_argument("shell", choices=["bash", "zsh", "fish"], help="for which shell")
    parser.set_defaults(commands=commands.choices)


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    words = {name: list_words(parser) for name, parser in arguments.commands.items()}
    if arguments.shell == "fish":
        print("\n".join(format_fish_lines(arguments.commands)))
        return OK
    cases = [f'        {name}) words="{" ".join(options)}" ;;' for name, options in words.items()]
    cases.append(f'        *) words="{" ".join(words)} --help --version" ;;')
    script = {"bash": BASH, "zsh": ZSH}[arguments.shell]
    print(script.format(commands="|".join(words), cases="\n".join(cases)), end="")
    return OK


def list_words(parser: argparse.ArgumentParser) -> list[str]:
    """List the words that may follow a command: its options, choices, and names of configs."""
    options = [option for action in parser._actions for option in action.option_strings if option.startswith("--")]
    choices = [str(choice) for action in parser._actions for choice in action.choices or ()]
    return [*options, *choices, *(list_configs() if takes_config(parser) else [])]


def takes_config(parser: argparse.ArgumentParser) -> bool:
    """Whether a command takes a config."""
    return any(action.dest == "config" for action in parser._actions)


def list_configs() -> list[str]:
    """List the configs that come with bprop."""
    from ..configs import list_packaged_configs

    return list(list_packaged_configs())


def format_fish_lines(commands: dict[str, argparse.ArgumentParser]) -> list[str]:
    """Format a line for each word, with its description."""
    lines = []
    for name, parser in commands.items():
        lines.append(f"complete -c bprop -n __fish_use_subcommand -f -a {name}")
        here = f"complete -c bprop -n '__fish_seen_subcommand_from {name}'"
        for action in parser._actions:
            about = quote(action.help or "")
            choices = " ".join(map(str, action.choices or ()))
            takes = "" if action.nargs == 0 else f" -r -a '{choices}'" if choices else " -r"
            for option in action.option_strings:
                if option.startswith("--"):
                    lines.append(f"{here} -l {option[2:]}{takes} -d {about}")
            if not action.option_strings and action.choices:
                lines.append(f"{here} -f -a '{choices}' -d {about}")
        if takes_config(parser):
            lines.append(f"{here} -a '{' '.join(list_configs())}' -d 'a config of bprop'")
    return lines


def quote(text: str) -> str:
    """Quote a text for the shell."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
