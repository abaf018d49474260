//! The command line as scripts write it.
use clap::CommandFactory;
use clap::error::ErrorKind;

use super::*;

fn parse(line: &[&str]) -> Cli {
    match Cli::try_parse_from([&["homing"], line].concat()) {
        Ok(cli) => cli,
        Err(error) => panic!("{error}"),
    }
}

fn kind(line: &[&str]) -> ErrorKind {
    match Cli::try_parse_from([&["homing"], line].concat()) {
        Ok(_) => panic!("{line:?} was taken"),
        Err(error) => error.kind(),
    }
}

#[test]
fn definitions_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_an_example() {
    fn check(command: &clap::Command) {
        for sub in command.get_subcommands() {
            let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(sub.get_name()), "{}", sub.get_name());
            check(sub);
        }
    }
    check(&Cli::command());
}

#[test]
fn common_flags_stand_before_or_after_the_command() {
    for line in [
        ["--store", "a.db", "--keep-alive", "10s", "status", "--json"],
        ["status", "--json", "--store", "a.db", "--keep-alive", "10s"],
        ["--store", "a.db", "status", "--keep-alive", "10s", "--json"],
    ] {
        let cli = parse(&line);
        assert_eq!(cli.common.store, Some("a.db".into()), "{line:?}");
        assert_eq!(cli.common.keep_alive, Some(Duration::from_secs(10)), "{line:?}");
    }
    let cli = parse(&["bench", "publish", "--count", "5", "--store", "b.db", "--inflight", "9", "-vv"]);
    assert_eq!((cli.common.store, cli.common.inflight, cli.common.verbose), (Some("b.db".into()), Some(9), 2));
}

#[test]
fn publish_flags() {
    let line = [
        "pub",
        "a/b",
        "-5",
        "-q",
        "2",
        "-r",
        "--ttl",
        "60s",
        "--if-unsupported",
        "downgrade",
        "--wait",
        "delivered",
        "--json",
        "--content-type",
        "text/plain",
        "--response-topic",
        "r",
        "--correlation-data",
        "c",
        "--user-property",
        "x=1",
        "--user-property",
        "x=2",
    ];
    let Command::Pub(args) = parse(&line).command else { panic!("not pub") };
    assert_eq!((args.topic.as_str(), args.message.as_deref(), args.qos), ("a/b", Some("-5"), QoS::ExactlyOnce));
    assert!(args.retain && args.json && args.wait == Some(Wait::Delivered));
    assert_eq!(args.ttl, Some(Duration::from_secs(60)));
    assert_eq!(args.user_property, [("x".to_owned(), "1".to_owned()), ("x".to_owned(), "2".to_owned())]);
    for line in [&["pub", "-q", "0", "a", "m"], &["pub", "a", "-q", "0", "m"], &["pub", "a", "m", "-q", "0"]] {
        let Command::Pub(args) = parse(line).command else { panic!("not pub") };
        assert_eq!((args.qos, args.message.as_deref()), (QoS::AtMostOnce, Some("m")), "{line:?}");
    }
    let Command::Pub(args) = parse(&["pub", "a", "-q", "2", "-r"]).command else { panic!("not pub") };
    assert!(args.message.is_none() && args.retain && args.qos == QoS::ExactlyOnce);
}

#[test]
fn receive_flags() {
    let line = [
        "sub",
        "a/#",
        "b/+",
        "-q",
        "2",
        "--consumer",
        "c",
        "--count",
        "10",
        "--idle-exit",
        "5s",
        "--no-done",
        "--json",
        "--no-local",
        "--retain-as-published",
        "--retain-handling",
        "never",
    ];
    let Command::Sub(args) = parse(&line).command else { panic!("not sub") };
    assert_eq!(args.filters.len(), 2);
    assert_eq!((args.count.map(NonZeroU64::get), args.idle_exit), (Some(10), Some(Duration::from_secs(5))));
    let Command::Pipe(args) = parse(&["pipe", "--auto-done", "--exit-when-drained", "-q", "2", "a/#"]).command else {
        panic!("not pipe")
    };
    assert!(args.auto_done && args.exit_when_drained && args.qos == QoS::ExactlyOnce);
}

#[test]
fn what_is_wrong_is_refused() {
    let wrong = ErrorKind::ValueValidation;
    assert_eq!(kind(&["pub", "a/#", "x"]), wrong);
    assert_eq!(kind(&["pub", "", "x"]), wrong);
    assert_eq!(kind(&["pub", "a", "x", "-q", "3"]), wrong);
    assert_eq!(kind(&["pub", "a", "x", "--ttl", "soon"]), wrong);
    assert_eq!(kind(&["pub", "a", "x", "--inflight", "0"]), wrong);
    assert_eq!(kind(&["pub", "a", "x", "--wait", "sent"]), ErrorKind::InvalidValue);
    assert_eq!(kind(&["pub", "a", "x", "--mqtt", "4"]), ErrorKind::InvalidValue);
    assert_eq!(kind(&["pub", "a", "x", "--stdin-lines"]), ErrorKind::ArgumentConflict);
    assert_eq!(kind(&["sub"]), ErrorKind::MissingRequiredArgument);
    assert_eq!(kind(&["sub", "a/#/b"]), wrong);
    assert_eq!(kind(&["sub", "$share/g"]), wrong);
    assert_eq!(kind(&["sub", "a", "--count", "0"]), wrong);
    assert_eq!(kind(&["verdict", "x"]), wrong);
    assert_eq!(kind(&["last", "a/#/b"]), wrong);
    assert_eq!(kind(&["history"]), ErrorKind::MissingRequiredArgument);
    assert_eq!(kind(&["history", "a", "--limit", "0"]), wrong);
    assert_eq!(kind(&["history", "a", "--since", "soon"]), wrong);
    assert_eq!(kind(&["history", "a", "--plot", "--json"]), ErrorKind::ArgumentConflict);
    assert_eq!(kind(&["sub", "a", "--inbox-full", "burst"]), ErrorKind::InvalidValue);
    assert_eq!(kind(&["status", "--outbox-limit", "5"]), wrong);
    for absent in [["pub", "a", "x", "--lane", "k"], ["status", "a", "x", "--proxy", "p"]] {
        assert_eq!(kind(&absent), ErrorKind::UnknownArgument, "{absent:?}");
    }
    for absent in ["watch", "shell"] {
        assert_eq!(kind(&[absent]), ErrorKind::InvalidSubcommand, "{absent}");
    }
    assert_eq!(kind(&["sync", "--deadline", "soon"]), ErrorKind::ValueValidation);
    assert_eq!(kind(&["outbox", "cancel"]), ErrorKind::MissingRequiredArgument);
    assert_eq!(kind(&["outbox", "cancel", "x"]), ErrorKind::ValueValidation);
}
