# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_amqp_agentd_global_optspecs
    string join \n h/help V/version
end

function __fish_amqp_agentd_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_amqp_agentd_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_amqp_agentd_using_subcommand
    set -l cmd (__fish_amqp_agentd_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c amqp-agentd -n "__fish_amqp_agentd_needs_command" -s h -l help -d 'Print help'
complete -c amqp-agentd -n "__fish_amqp_agentd_needs_command" -s V -l version -d 'Print version'
complete -c amqp-agentd -n "__fish_amqp_agentd_needs_command" -f -a "run" -d 'Run the daemon in the foreground'
complete -c amqp-agentd -n "__fish_amqp_agentd_needs_command" -f -a "check" -d 'Print every problem in every file; silent when there is none'
complete -c amqp-agentd -n "__fish_amqp_agentd_needs_command" -f -a "status" -d 'Show what the running daemon and its agents do'
complete -c amqp-agentd -n "__fish_amqp_agentd_needs_command" -f -a "pause" -d 'Let agents of the running daemon finish what is in flight and hand out nothing more'
complete -c amqp-agentd -n "__fish_amqp_agentd_needs_command" -f -a "resume" -d 'Let paused agents go on'
complete -c amqp-agentd -n "__fish_amqp_agentd_needs_command" -f -a "reload" -d 'Let the running daemon read its files again'
complete -c amqp-agentd -n "__fish_amqp_agentd_needs_command" -f -a "redrive" -d 'Move dead letters back to the queue that they came from'
complete -c amqp-agentd -n "__fish_amqp_agentd_needs_command" -f -a "import" -d 'Make agent files of KrakenD\'s async agents'
complete -c amqp-agentd -n "__fish_amqp_agentd_needs_command" -f -a "explain" -d 'Show the requests that a message becomes, and what follows from a reply'
complete -c amqp-agentd -n "__fish_amqp_agentd_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand run" -l config -d 'The main file [default: /etc/amqp-agentd/amqp-agentd.toml, which need not exist]' -r -F
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand run" -l agents -d 'The directory of agent files, one agent a *.toml [default: agents.d beside the main file]' -r -F
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand run" -s h -l help -d 'Print help'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand check" -l config -d 'The main file [default: /etc/amqp-agentd/amqp-agentd.toml, which need not exist]' -r -F
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand check" -l agents -d 'The directory of agent files, one agent a *.toml [default: agents.d beside the main file]' -r -F
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand check" -l online -d 'Ask the brokers too: each agent logs in and asks for its queue, and nothing is changed'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand check" -s h -l help -d 'Print help'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand status" -l watch -d 'Look again and again, every 2 s or as often as said; Ctrl-C ends it' -r
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand status" -l socket -d 'The daemon\'s socket [default: the one that its main file names]' -r -F
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand status" -l url -d 'Ask over TCP instead, such as http://127.0.0.1:9672' -r
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand status" -l config -d 'The daemon\'s main file [default: /etc/amqp-agentd/amqp-agentd.toml, which need not exist]' -r -F
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand status" -l json -d 'Print what the daemon says, as JSON (GET /agents)'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand status" -s h -l help -d 'Print help'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand pause" -l socket -d 'The daemon\'s socket [default: the one that its main file names]' -r -F
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand pause" -l url -d 'Ask over TCP instead, such as http://127.0.0.1:9672' -r
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand pause" -l config -d 'The daemon\'s main file [default: /etc/amqp-agentd/amqp-agentd.toml, which need not exist]' -r -F
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand pause" -l all -d 'Every agent'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand pause" -l json -d 'Print each agent as JSON, one a line'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand pause" -s h -l help -d 'Print help'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand resume" -l socket -d 'The daemon\'s socket [default: the one that its main file names]' -r -F
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand resume" -l url -d 'Ask over TCP instead, such as http://127.0.0.1:9672' -r
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand resume" -l config -d 'The daemon\'s main file [default: /etc/amqp-agentd/amqp-agentd.toml, which need not exist]' -r -F
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand resume" -l all -d 'Every agent'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand resume" -l json -d 'Print each agent as JSON, one a line'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand resume" -s h -l help -d 'Print help'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand reload" -l socket -d 'The daemon\'s socket [default: the one that its main file names]' -r -F
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand reload" -l url -d 'Ask over TCP instead, such as http://127.0.0.1:9672' -r
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand reload" -l config -d 'The daemon\'s main file [default: /etc/amqp-agentd/amqp-agentd.toml, which need not exist]' -r -F
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand reload" -l json -d 'Print one JSON object'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand reload" -s h -l help -d 'Print help'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand redrive" -l reason -d 'Only those dead-lettered for this: refused, impossible, attempts, max_age, or a word of the broker\'s' -r
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand redrive" -l older-than -d 'Only those that failed last at least so long ago, such as 1h' -r
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand redrive" -l newer-than -d 'Only those that failed last less than so long ago, such as 2d' -r
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand redrive" -l header -d 'Only those with this header; may be given more than once' -r
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand redrive" -l limit -d 'At most so many' -r
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand redrive" -l rate -d 'At most so many a second, evenly spaced' -r
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand redrive" -l queue -d 'The queue that the dead letters are in [default: the agent\'s dead-letter queue]' -r
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand redrive" -l config -d 'The main file [default: /etc/amqp-agentd/amqp-agentd.toml, which need not exist]' -r -F
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand redrive" -l agents -d 'The directory of agent files, one agent a *.toml [default: agents.d beside the main file]' -r -F
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand redrive" -l all-backends -d 'Tell those backends too that have a message already'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand redrive" -l dry-run -d 'Only count, and change nothing'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand redrive" -l json -d 'Print one JSON object in place of the table'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand redrive" -s h -l help -d 'Print help'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand import" -l out -d 'The directory to write to, made if need be [default: none; the files are printed]' -r -F
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand import" -l force -d 'Overwrite agent files that are there'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand import" -l json -d 'Print one JSON object in place of text'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand import" -s h -l help -d 'Print help'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand explain" -l message -d 'The message, as JSON; - is standard input [default: a small sample]' -r -F
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand explain" -l reply -d 'What the backends reply, try by try; the last one repeats' -r
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand explain" -l retry-after -d 'Retry-After of replies that are no success: seconds, or a duration such as 2m' -r
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand explain" -l config -d 'The main file [default: /etc/amqp-agentd/amqp-agentd.toml, which need not exist]' -r -F
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand explain" -l agents -d 'The directory of agent files, one agent a *.toml [default: agents.d beside the main file]' -r -F
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand explain" -l peek -d 'Take the first message of the agent\'s queue, and give it back'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand explain" -l json -d 'Print one JSON object in place of the text'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand explain" -s h -l help -d 'Print help'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand help; and not __fish_seen_subcommand_from run check status pause resume reload redrive import explain help" -f -a "run" -d 'Run the daemon in the foreground'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand help; and not __fish_seen_subcommand_from run check status pause resume reload redrive import explain help" -f -a "check" -d 'Print every problem in every file; silent when there is none'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand help; and not __fish_seen_subcommand_from run check status pause resume reload redrive import explain help" -f -a "status" -d 'Show what the running daemon and its agents do'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand help; and not __fish_seen_subcommand_from run check status pause resume reload redrive import explain help" -f -a "pause" -d 'Let agents of the running daemon finish what is in flight and hand out nothing more'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand help; and not __fish_seen_subcommand_from run check status pause resume reload redrive import explain help" -f -a "resume" -d 'Let paused agents go on'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand help; and not __fish_seen_subcommand_from run check status pause resume reload redrive import explain help" -f -a "reload" -d 'Let the running daemon read its files again'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand help; and not __fish_seen_subcommand_from run check status pause resume reload redrive import explain help" -f -a "redrive" -d 'Move dead letters back to the queue that they came from'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand help; and not __fish_seen_subcommand_from run check status pause resume reload redrive import explain help" -f -a "import" -d 'Make agent files of KrakenD\'s async agents'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand help; and not __fish_seen_subcommand_from run check status pause resume reload redrive import explain help" -f -a "explain" -d 'Show the requests that a message becomes, and what follows from a reply'
complete -c amqp-agentd -n "__fish_amqp_agentd_using_subcommand help; and not __fish_seen_subcommand_from run check status pause resume reload redrive import explain help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
