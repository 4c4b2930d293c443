//! Figures for the documentation, not a test: `cargo nextest run -p atelier-environment --release
//! --run-ignored only --no-capture speed`.

use std::time::Instant;

use atelier_environment::{
    ApplyOptions, LayerMode, Recipe, apply, create_workspace, remove_layers,
};

use crate::support::{World, inside};

fn timed<T>(what: &str, times: usize, mut f: impl FnMut(usize) -> T) -> T {
    let mut took = Vec::new();
    let mut last = None;
    for n in 0..times {
        let start = Instant::now();
        last = Some(f(n));
        took.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    took.sort_by(f64::total_cmp);
    println!(
        "{what}: min {:.1} median {:.1} max {:.1} ms",
        took[0],
        took[times / 2],
        took[times - 1]
    );
    last.unwrap()
}

#[test]
#[ignore = "prints figures"]
fn figures() {
    for files in [5_000, 20_000] {
        let world = World::plain();
        for n in 0..files {
            world.write(
                &format!("d{}/e{}/f{n}", n % 20, n % 200),
                vec![n as u8; 200_000_000 / files],
            );
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
        let project = world.project();
        let create = |name: &str| {
            let dir = world.layer_dir(name);
            create_workspace(&project, &world.home, &dir, &Recipe::default(), LayerMode::Overlay)
                .unwrap()
        };
        println!("{files} files, 200 MB");
        timed("  first environment, with the base", 1, |_| create("first"));
        timed("  nothing changed", 15, |n| create(&format!("same{n}")));
        world.sh("for i in 1 2 3 4 5 6 7 8 9 10; do echo x >> d$i/e$i/f$i; done");
        let workspace = timed("  10 files changed", 15, |n| create(&format!("ten{n}")));
        inside(&workspace, "for i in 1 2 3 4 5 6 7 8 9 10; do echo y >> d$i/e$i/f$i; done");
        timed("  diff of 10 files", 5, |_| world.diff(&workspace));
        timed("  apply of 10 files", 1, |_| {
            apply(&workspace, &project, &ApplyOptions::default()).unwrap()
        });
        let start = Instant::now();
        std::thread::scope(|scope| {
            for n in 0..100 {
                let create = &create;
                scope.spawn(move || create(&format!("many{n}")));
            }
        });
        println!("  100 at once: {:.0} ms", start.elapsed().as_secs_f64() * 1000.0);
        timed("  remove", 15, |n| remove_layers(&world.layer_dir(&format!("same{n}"))).unwrap());
    }
}
