//! Makes a fault happen, and has it end.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::sleep;

use super::clock::now;
use super::fault::{Fault, Harm, Kind, Mood, Place};
use super::letter::Agent;
use super::oracle::Window;
use super::support::management::segment;
use super::support::{Direction, Flow, Proxy, publisher};
use super::world::{WINDOW_MAX, World, is_dead_letters};

/// Lets `fault` happen, and the one beside it; returns once both are over.
///
/// # Errors
/// When it could not be made, or the daemon did not do as it was told.
pub async fn inject(world: &World, fault: &Fault) -> Result<(), String> {
    let Some(beside) = &fault.beside else { return one(world, fault, false).await };
    let second = async {
        sleep(fault.lasts / 2).await;
        one(world, beside, true).await
    };
    tokio::try_join!(one(world, fault, true), second).map(drop)
}

async fn one(world: &World, fault: &Fault, in_company: bool) -> Result<(), String> {
    let from = now();
    let site = matches!(fault.kind.place(), Place::BackendLeg | Place::Backend);
    let site = site.then_some(fault.choice % 2);
    // Known from its beginning on: requests are judged while it lasts.
    let window = world.record.lock().expect("never poisoned").fault_began(Window {
        kind: fault.kind,
        site,
        from,
        to: None,
    });
    let result = happen(world, fault, in_company).await;
    world.record.lock().expect("never poisoned").fault_ended(window, now());
    result
}

async fn happen(world: &World, fault: &Fault, in_company: bool) -> Result<(), String> {
    let Fault { kind, lasts, choice, .. } = *fault;
    match kind {
        Kind::DaemonKilled => kill(world, lasts).await,
        Kind::DaemonTerminated => terminate(world, lasts, in_company).await,
        Kind::ReloadedSame => hang_up(world, lasts).await,
        Kind::ReloadedChanged => {
            let workers = u8::try_from(6 + choice % 9).expect("it is small");
            world.write(Agent::Orders, workers, WINDOW_MAX - u16::from(workers)).await?;
            hang_up(world, lasts).await
        }
        Kind::ReloadedBroken => {
            let broken = "[consumer\nworkers = ";
            let written = world.daemon.lock().await.write_text("orders", broken);
            written.map_err(|error| error.to_string())?;
            hang_up(world, lasts).await?;
            world.write(Agent::Orders, 10, WINDOW_MAX).await?;
            hang_up(world, Duration::ZERO).await
        }
        Kind::BrokerStopped => restart(world, "stop", lasts).await,
        Kind::BrokerKilled => restart(world, "kill", lasts).await,
        Kind::MemoryAlarm => {
            let set = |value| ["set_vm_memory_high_watermark", value];
            world.node.run("ctl", &set("0.00001")).await?;
            sleep(lasts).await;
            world.node.run("ctl", &set("0.4")).await
        }
        Kind::ConsumingClosed => close(world, true),
        Kind::PublishingClosed => close(world, false),
        Kind::SourceDeleted | Kind::DelaysDeleted | Kind::DeadLettersDeleted => {
            world.drain().await?;
            delete(world, kind, choice).await?;
            world.resume();
            Ok(())
        }
        Kind::BrokerLeg(harm) => {
            // Corrupted octets must break the protocol and never be taken for good: AMQP has no
            // checksum, so a body that is altered on its way would be delivered, and a delivery
            // tag that is altered would ack another message. What saves us is that *everything*
            // is turned over from one octet on, until the connection is gone: the frame in which
            // that begins has a last octet that is not CE, and is refused whole, by either side;
            // one that begins later has a type that does not exist.
            let directions = [Direction::ToServer, Direction::ToClient];
            network(&world.broker_leg, harm, lasts, choice, directions[choice / 2 % 2]).await;
            Ok(())
        }
        Kind::BackendLeg(harm) => {
            // HTTP has no checksum either: a request's body would arrive altered, through nobody's
            // fault. So only replies are corrupted, and these from their first octet or within
            // their head: nothing that is left of one is a status.
            let leg = &world.backend_legs[choice % 2];
            network(leg, harm, lasts, choice, Direction::ToClient).await;
            Ok(())
        }
        Kind::Backend(mood) => {
            set(world, choice, Some(mood)).await;
            sleep(lasts).await;
            set(world, choice, None).await;
            Ok(())
        }
    }
}

async fn set(world: &World, choice: usize, mood: Option<Mood>) {
    world.sites[choice % 2].lock().await.set(mood).await;
}

async fn kill(world: &World, lasts: Duration) -> Result<(), String> {
    {
        let mut daemon = world.daemon.lock().await;
        daemon.signal("KILL").await.map_err(|error| error.to_string())?;
        daemon.wait().await.map_err(|error| error.to_string())?;
        world.take_news(&mut daemon)?;
    }
    sleep(lasts / 2).await;
    world.start().await
}

async fn terminate(world: &World, lasts: Duration, in_company: bool) -> Result<(), String> {
    stop(world, in_company).await?;
    sleep(lasts / 2).await;
    world.start().await
}

/// Stops the daemon in good order: with 0, and with counts that add up.
pub async fn stop(world: &World, in_company: bool) -> Result<(), String> {
    let mut daemon = world.daemon.lock().await;
    daemon.signal("TERM").await.map_err(|error| error.to_string())?;
    let status = daemon.wait().await.map_err(|error| error.to_string())?;
    world.take_news(&mut daemon)?;
    // With a broker that does not answer it has to leave before it could give everything back.
    let is_fine = status.code() == Some(0) || (in_company && status.code() == Some(1));
    if !is_fine {
        world.book.wrong(None, format!("told to stop, the daemon ended with {status}"));
    }
    for wrong in world.record.lock().expect("never poisoned").process_ended() {
        world.book.wrong(None, wrong);
    }
    Ok(())
}

async fn hang_up(world: &World, lasts: Duration) -> Result<(), String> {
    world.daemon.lock().await.signal("HUP").await.map_err(|error| error.to_string())?;
    sleep(lasts).await;
    Ok(())
}

async fn restart(world: &World, command: &str, lasts: Duration) -> Result<(), String> {
    world.node.run(command, &[]).await?;
    sleep(lasts).await;
    world.node.run("start", &[]).await
}

/// Closes, as an operator does, the daemon's connections that consume or those that don't.
fn close(world: &World, consuming: bool) -> Result<(), String> {
    let vhost = world.vhost.segment();
    let consumers = world.get(&format!("consumers/{vhost}"));
    let consumers = consumers.as_array().cloned().unwrap_or_default();
    let is_consuming = |name: &str| {
        consumers.iter().any(|consumer| consumer["channel_details"]["connection_name"] == name)
    };
    let connections = world.get(&format!("vhosts/{vhost}/connections"));
    for connection in connections.as_array().into_iter().flatten() {
        let is_ours = connection["user_provided_name"] == publisher::NAME;
        let Some(name) = connection["name"].as_str().filter(|_| !is_ours) else { continue };
        if is_consuming(name) == consuming {
            world.delete(&format!("connections/{}", segment(name)))?;
        }
    }
    Ok(())
}

/// Deletes queues. What is in a queue goes with it, by the operator's own act, so this is done
/// when all is delivered and nothing is published: what is tested is that the daemon notices that
/// a queue which it declared is gone, and makes it again before it loses anything by that.
async fn delete(world: &World, kind: Kind, choice: usize) -> Result<(), String> {
    if kind == Kind::SourceDeleted {
        let name = Agent::ALL[choice % 2].name();
        world.delete(&world.path_of_queue(name))?;
        // The consumer counted there may be the old one still, for a moment.
        sleep(Duration::from_secs(2)).await;
        return world.wait_for_queue(name).await;
    }
    for (name, _) in world.queues() {
        let is_meant = if kind == Kind::DelaysDeleted {
            name.contains(".retry.")
        } else {
            is_dead_letters(&name)
        };
        if is_meant {
            world.delete(&world.path_of_queue(&name))?;
        }
    }
    Ok(())
}

/// Harms a network for a while; `corrupted` is the direction that may be.
async fn network(
    proxy: &Mutex<Proxy>,
    harm: Harm,
    lasts: Duration,
    choice: usize,
    corrupted: Direction,
) {
    let mut proxy = proxy.lock().await;
    match harm {
        Harm::Cut => {
            proxy.refuse().await;
            sleep(lasts).await;
            proxy.listen();
        }
        Harm::Reset => proxy.reset(),
        Harm::Stalled => {
            proxy.stall();
            sleep(lasts).await;
            proxy.pass();
        }
        Harm::HalfOpen => {
            let direction = [Direction::ToServer, Direction::ToClient][choice / 2 % 2];
            proxy.set(direction, [Flow::Stall, Flow::Shut][choice / 4 % 2]);
            sleep(lasts).await;
            proxy.pass();
        }
        Harm::Slow => {
            proxy.set(Direction::ToServer, Flow::Slow);
            proxy.set(Direction::ToClient, Flow::Slow);
            sleep(lasts).await;
            proxy.pass();
        }
        Harm::Corrupted => {
            proxy.set(corrupted, Flow::Corrupt);
            sleep(lasts).await;
            // No connection sees the end of it: one frame or reply, half corrupted in its midst,
            // could pass for a good one.
            proxy.reset();
            sleep(Duration::from_millis(50)).await;
            proxy.pass();
        }
    }
}
