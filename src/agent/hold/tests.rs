use super::*;

const KEEP: Duration = Duration::from_mins(5);
const SECOND: Duration = Duration::from_secs(1);

fn key(number: u64) -> Key {
    Key::numbered(number)
}

fn fault(message: u64) -> Sign {
    Sign::Fault { message: Some(message), asked: false }
}

/// Lets the hold see the reply to message `number`, sent and answered at `now`.
fn see(hold: &mut Hold, number: u64, target: usize, sign: Sign, now: Instant) -> Change {
    let seen = Seen { key: Some(key(number)), target, sign, started: now };
    hold.observe(seen, now, 0.5)
}

fn see_bare(hold: &mut Hold, target: usize, sign: Sign, now: Instant) -> Change {
    hold.probe_sent(None);
    let change = hold.observe(Seen { key: None, target, sign, started: now }, now, 0.5);
    hold.probe_over(None);
    change
}

fn probe(hold: &mut Hold, number: u64, target: usize, sign: Sign, now: Instant) -> Change {
    assert_eq!(hold.permit(now), Permit::Probe);
    hold.probe_sent(Some(key(number)));
    assert_eq!(hold.permit(now), Permit::Nothing, "one at a time");
    let change = see(hold, number, target, sign, now);
    hold.probe_over(Some(key(number)));
    change
}

fn open(now: Instant) -> Hold {
    let mut hold = Hold::default();
    for number in 1..=4 {
        assert_eq!(see(&mut hold, number, 0, fault(number), now), Change::None);
    }
    assert_eq!(hold.permit(now), Permit::Any);
    assert_eq!(see(&mut hold, 5, 0, fault(5), now), Change::Opened);
    hold
}

#[test]
fn an_open_breaker_lets_one_message_at_a_time_through_until_one_is_answered() {
    let now = Instant::now();
    let mut hold = open(now);
    assert!(hold.is_open(0) && !hold.is_open(1));
    assert_eq!(hold.permit(now), Permit::Nothing);
    assert_eq!(hold.next_change(KEEP, now), Some(now + SECOND));
    let mut at = now;
    for wait in [1, 2, 4, 8, 16, 30, 30] {
        at += Duration::from_secs(wait);
        assert_eq!(hold.permit(at - Duration::from_millis(1)), Permit::Nothing);
        assert_eq!(probe(&mut hold, 6, 0, fault(6), at), Change::None);
    }
    at += 30 * SECOND;
    assert_eq!(probe(&mut hold, 7, 0, Sign::Well, at), Change::Closed(at - now));
    assert_eq!((hold.permit(at), hold.is_on()), (Permit::Any, false));
    assert_eq!(hold.faults(0), 0);
}

#[test]
fn a_reply_from_before_the_hold_does_not_end_it() {
    let now = Instant::now();
    let mut hold = open(now);
    assert_eq!(see(&mut hold, 9, 0, Sign::Well, now), Change::None);
    assert!(hold.is_open(0));
}

#[test]
fn the_success_of_one_backend_does_not_excuse_another() {
    let (mut hold, now) = (Hold::default(), Instant::now());
    for number in 1..=2 {
        assert_eq!(see(&mut hold, number, 1, Sign::Credential, now), Change::None);
        assert_eq!(see(&mut hold, number, 0, Sign::Well, now), Change::None);
    }
    assert_eq!(see(&mut hold, 3, 1, Sign::Credential, now), Change::Opened);
    assert!(hold.is_open(1));
    let later = now + SECOND;
    hold.probe_sent(Some(key(4)));
    assert_eq!(see(&mut hold, 4, 0, Sign::Well, later), Change::None);
    assert_eq!(see(&mut hold, 4, 1, Sign::Credential, later), Change::None);
    assert!(hold.is_open(1));
}

#[test]
fn hosts_that_cannot_be_reached_hold_and_the_first_message_afterwards_ends_it() {
    let (mut hold, now) = (Hold::default(), Instant::now());
    assert!(!hold.share(None, now));
    assert!(hold.share(Some(0), now));
    assert!(!hold.share(Some(0), now), "no news");
    assert_eq!(hold.permit(now), Permit::Probe, "given the turn");
    assert!(!hold.is_open(0));
    let later = now + 9 * SECOND;
    assert!(hold.share(None, later));
    assert_eq!(probe(&mut hold, 1, 0, Sign::Well, later), Change::None);
    assert_eq!(hold.permit(later), Permit::Any);
}

#[test]
fn after_an_outage_a_message_that_fails_is_followed_by_one_other_and_not_by_all() {
    let (mut hold, now) = (Hold::default(), Instant::now());
    hold.share(Some(0), now);
    hold.share(None, now);
    assert_eq!(probe(&mut hold, 1, 0, fault(1), now), Change::None);
    assert!(!hold.is_open(0), "it may be this message alone");
    assert_eq!(hold.permit(now), Permit::Nothing);
    assert_eq!(probe(&mut hold, 2, 0, Sign::Well, now + 2 * SECOND), Change::None);
    assert_eq!(hold.permit(now + 2 * SECOND), Permit::Any);
}

#[test]
fn after_an_outage_an_agent_without_messages_is_not_said_to_hold_for_long() {
    let (mut hold, now) = (Hold::default(), Instant::now());
    hold.share(Some(0), now);
    hold.share(None, now);
    assert!(!hold.is_kept_too_long(KEEP, now + KEEP * 9));
    assert_eq!(hold.next_change(KEEP, now), None);
}

#[test]
fn hosts_that_answer_end_their_part_of_a_hold_and_not_the_breakers() {
    let now = Instant::now();
    let mut hold = open(now);
    assert!(hold.share(Some(1), now));
    assert!(hold.share(None, now + SECOND));
    assert!(hold.is_open(0));
    assert_eq!(probe(&mut hold, 6, 0, Sign::Well, now + SECOND), Change::Closed(SECOND));
    assert_eq!(hold.permit(now + SECOND), Permit::Any);
}

#[test]
fn a_breaker_that_closes_while_hosts_cannot_be_reached_leaves_the_hold() {
    let now = Instant::now();
    let mut hold = open(now);
    hold.share(Some(1), now);
    assert_eq!(probe(&mut hold, 6, 0, Sign::Well, now + SECOND), Change::Closed(SECOND));
    assert!(hold.is_on());
}

#[test]
fn an_outage_that_begins_with_cut_connections_is_one_hold() {
    let now = Instant::now();
    let mut hold = open(now);
    assert!(hold.is_open_by_faults(0));
    hold.share(Some(0), now + SECOND);
    assert!(!hold.has_open(), "the hosts explain it");
    assert_eq!(see(&mut hold, 9, 0, fault(9), now + SECOND), Change::None);
    assert!(hold.excuses(Some(key(9)), 0), "it was under way");
    hold.probe_sent(Some(key(9)));
    assert!(!hold.excuses(Some(key(9)), 0), "a probe that meets silence is its message's affair");
}

#[test]
fn hosts_that_cannot_be_reached_do_not_excuse_a_credential() {
    let (mut hold, now) = (Hold::default(), Instant::now());
    for _ in 0..3 {
        see(&mut hold, 1, 0, Sign::Credential, now);
    }
    assert!(hold.is_open(0) && !hold.is_open_by_faults(0));
    hold.share(Some(0), now);
    hold.share(None, now);
    assert!(hold.is_open(0));
}

#[test]
fn a_long_hold_gives_the_window_back_and_probes_without_a_message() {
    let (mut hold, now) = (Hold::default(), Instant::now());
    hold.share(Some(1), now);
    assert!(!hold.is_kept_too_long(KEEP, now + KEEP - Duration::from_millis(1)));
    assert!(hold.is_kept_too_long(KEEP, now + KEEP));
    hold.released(now);
    assert!(!hold.is_kept_too_long(KEEP, now + KEEP));
    assert_eq!(hold.permit(now + KEEP), Permit::BareProbe { target: 1 });
    hold.share(None, now + KEEP);
    assert!(!hold.is_released());
    assert_eq!(hold.permit(now + KEEP), Permit::Probe);
}

#[test]
fn a_service_that_answers_head_and_turns_messages_away_keeps_the_hold() {
    let (mut hold, mut now) = (Hold::default(), Instant::now());
    for _ in 0..3 {
        see(&mut hold, 1, 0, Sign::Credential, now);
    }
    let (mut kept, mut kept_from) = (Vec::new(), now);
    for _ in 0..4 {
        let until = hold.next_change(KEEP, now + SECOND).expect("it is given back once");
        assert!(hold.is_kept_too_long(KEEP, until));
        kept.push((until - kept_from).as_secs() / 60);
        now = until;
        hold.released(now);
        assert_eq!(see_bare(&mut hold, 0, Sign::Credential, now), Change::None);
        assert!(hold.is_released());
        now += 30 * SECOND;
        assert_eq!(hold.permit(now), Permit::BareProbe { target: 0 });
        assert_eq!(see_bare(&mut hold, 0, Sign::Well, now), Change::None);
        assert!(!hold.is_released() && hold.is_open(0), "not well until a message is answered");
        assert_eq!(probe(&mut hold, 1, 0, Sign::Credential, now), Change::None);
        assert_eq!(hold.next_change(KEEP, now), Some(now + 2 * SECOND), "as soon as at first");
        kept_from = now;
        now += 2 * SECOND;
    }
    assert_eq!(kept, [5, 10, 15, 15]);
    assert!(matches!(probe(&mut hold, 1, 0, Sign::Well, now), Change::Closed(_)));
}

#[test]
fn hosts_that_answer_with_a_credential_fault_leave_the_window_given_back() {
    let (mut hold, now) = (Hold::default(), Instant::now());
    hold.share(Some(0), now);
    hold.released(now);
    assert_eq!(see_bare(&mut hold, 0, Sign::Unreachable, now), Change::None);
    assert_eq!(see_bare(&mut hold, 0, Sign::Credential, now), Change::Opened);
    hold.share(None, now);
    assert!(hold.is_released() && hold.is_open(0));
}

#[test]
fn a_service_that_never_answers_head_well_is_asked_with_a_message_in_the_end() {
    let (mut hold, mut now) = (Hold::default(), Instant::now());
    hold.share(Some(0), now);
    hold.released(now);
    see_bare(&mut hold, 0, Sign::Credential, now);
    hold.share(None, now);
    let given_back = now;
    while hold.is_released() {
        now += 30 * SECOND;
        see_bare(&mut hold, 0, Sign::Credential, now);
    }
    assert_eq!(now - given_back, KEPT_MAX);
    assert!(matches!(probe(&mut hold, 1, 0, Sign::Well, now), Change::Closed(_)));
}

#[test]
fn a_window_that_may_be_kept_for_longer_is() {
    let (mut hold, now) = (Hold::default(), Instant::now());
    let long = Duration::from_hours(24 * 365 * 10);
    hold.share(Some(0), now);
    assert!(!hold.is_kept_too_long(long, now + Duration::from_hours(24)));
}

#[test]
fn a_probe_that_came_to_nothing_is_followed_by_another() {
    let now = Instant::now();
    let mut hold = open(now);
    let later = now + SECOND;
    hold.probe_sent(Some(key(6)));
    hold.probe_over(Some(key(7)));
    assert_eq!(hold.permit(later), Permit::Nothing);
    hold.probe_over(Some(key(6)));
    assert_eq!(hold.permit(later), Permit::Probe);
}

#[test]
fn a_window_given_back_for_another_reason_leaves_the_first_message_to_decide() {
    let now = Instant::now();
    let mut hold = Hold::default();
    assert!(hold.share(Some(0), now) && hold.share(None, now + SECOND));
    hold.released(now + KEEP);
    assert!(!hold.is_released());
    assert_eq!(hold.permit(now + KEEP), Permit::Probe);
}
