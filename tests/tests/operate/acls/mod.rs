//! The access control lists that `sinyal topics plan --acls` prints, on a real broker with an authorizer: everything works with
//! them, each role and command as a user of its own; and nothing of them can be left out.

mod commands;
mod necessary;
mod sufficient;
mod topics;
mod world;

use self::necessary::{each_is_missed, notify, services, sink};
use self::sufficient::sufficient;
use self::topics::{checked, topics};
use self::world::World;

/// Takes rights away; gives those of which nothing tells.
type Part = fn(&World) -> Vec<String>;

#[test]
fn everything_works_with_the_plan_and_nothing_of_it_can_be_left_out() {
    let world = World::new();
    world.allow_all();
    sufficient(&world);
    // The others have it bring them something to do.
    let of_ingest = each_is_missed(&world, "ingest");
    // Each role has its own user: what is taken from one is nothing to the others.
    std::thread::scope(|scope| {
        let parts: [(&str, Part); 5] = [
            ("services", |world| {
                let mut missing = services(world, "classify");
                missing.extend(services(world, "community"));
                missing
            }),
            ("notify", notify),
            ("commands", |world| {
                ["responder", "analyst", "status", "dlq", "communities"]
                    .into_iter()
                    .flat_map(|role| each_is_missed(world, role))
                    .chain(sink(world))
                    .chain(checked(world))
                    .chain(topics(world))
                    .collect()
            }),
            ("erase", |world| each_is_missed(world, "erase")),
            ("reprocess", |world| each_is_missed(world, "reprocess")),
        ];
        let threads = parts.map(|(name, part)| {
            let world = &world;
            (name, scope.spawn(move || part(world)))
        });
        let mut unmissed = of_ingest;
        for (name, thread) in threads {
            let of_part = thread.join().unwrap_or_else(|_| panic!("{name} panicked; see above"));
            unmissed.extend(of_part);
        }
        assert!(
            unmissed.is_empty(),
            "{} are not missed when they are taken away:\n{}",
            unmissed.len(),
            unmissed.join("\n")
        );
    });
    world.acls.are(&world.plan.values().flatten().cloned().collect::<Vec<_>>()).unwrap();
}
