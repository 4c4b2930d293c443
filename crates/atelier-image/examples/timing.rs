//! Times what matters on a root filesystem.
use atelier_image::*;
use std::time::Instant;
#[tokio::main]
async fn main() {
    let args: Vec<_> = std::env::args().collect();
    let dir = std::path::PathBuf::from(&args[1]);
    let root = dir.join("images");
    let store = ImageStore::open(&root, StoreOptions::default()).unwrap();
    let t = Instant::now();
    let image = store.import(args[2].as_ref(), Some("base")).await.unwrap();
    println!("import folder {:?} size {}", t.elapsed(), image.size_bytes);
    let t = Instant::now();
    let i2 = store.import(args[3].as_ref(), Some("base2")).await.unwrap();
    println!("import tar.gz {:?} size {}", t.elapsed(), i2.size_bytes);
    for take in [true, false] {
        for n in 0..3 {
            let upper = dir.join(format!("upper{n}"));
            std::fs::create_dir(&upper).unwrap();
            for d in 0..20 {
                std::fs::create_dir(upper.join(format!("d{d}"))).unwrap();
                for f in 0..100 {
                    std::fs::write(upper.join(format!("d{d}/f{f}")), vec![1u8; 20_000]).unwrap();
                }
            }
            let t = Instant::now();
            store.commit(&image.id, &upper, ImageChange::default(), take).await.unwrap();
            println!("commit take={take} 2000 files, 40 MB {:?}", t.elapsed());
            let _ = std::fs::remove_dir_all(&upper);
        }
    }
    let t = Instant::now();
    let d = store.disk(&i2).await.unwrap();
    println!("disk {:?} {:?} {}", d.kind, t.elapsed(), std::fs::metadata(&d.path).unwrap().len());
    let s2 =
        ImageStore::open(&root, StoreOptions { disk: Some(DiskKind::Ext4), ..Default::default() })
            .unwrap();
    let t = Instant::now();
    let d = s2.disk(&i2).await.unwrap();
    println!(
        "disk {:?} {:?} {} at {}",
        d.kind,
        t.elapsed(),
        std::fs::metadata(&d.path).unwrap().len(),
        d.path.display()
    );
    let t = Instant::now();
    let r = store.list().unwrap();
    println!("list {} {:?}", r.len(), t.elapsed());
    let t = Instant::now();
    store.get("base").unwrap();
    println!("get {:?}", t.elapsed());
    let t = Instant::now();
    println!("{:?} {:?}", store.prune(&|_| false, true).unwrap().freed_bytes, t.elapsed());
}
