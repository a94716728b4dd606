//! The second tier: who is asked, what its answers change, and that nothing else does.

use std::sync::{Arc, Mutex};

use pipeline::classify::{Cascade, Probabilities, SecondOpinion};
use pipeline::{ClassifyStage, KeyFormat};
use record::stage::{Input, InputHeaders, InputPartition, InputRecord, Outputs, Stage, Step};
use record::{Label, Outcome, Tier};
use serde_json::Value;
use wire::{Framing, RawFormat, SchemaName};

use crate::world::{Kept, MIXED, NOW, avro, classify_stage_with, decoded, keep, post};

const FROM: InputPartition = InputPartition { input: 0, partition: 0 };

/// Says what it is told to, and remembers what it was asked.
#[derive(Debug, Clone, Default)]
struct Told(Arc<Mutex<Orders>>);

#[derive(Debug, Default)]
struct Orders {
    asked: Vec<(u32, String, u32)>,
    /// Tickets that get no answer.
    silent: Vec<u32>,
    refuses: bool,
    all_asked: usize,
    forgotten: usize,
}

/// Sure that it is a tip.
const TIP: Probabilities = [0.02, 0.92, 0.02, 0.02, 0.02];

impl SecondOpinion for Told {
    fn model_version(&self) -> &str {
        "told-1"
    }

    fn submit(&mut self, ticket: u32, text: &str, urgency: u32) -> bool {
        let mut orders = self.0.lock().unwrap();
        if orders.refuses {
            return false;
        }
        orders.all_asked += 1;
        orders.asked.push((ticket, text.to_owned(), urgency));
        true
    }

    fn collect(&mut self, see: &mut dyn FnMut(u32, Probabilities)) {
        let mut orders = self.0.lock().unwrap();
        for (ticket, _, _) in std::mem::take(&mut orders.asked) {
            if !orders.silent.contains(&ticket) {
                see(ticket, TIP);
            }
        }
    }

    fn forget(&mut self) {
        let mut orders = self.0.lock().unwrap();
        orders.forgotten += orders.asked.len();
        orders.asked.clear();
    }
}

struct Bench {
    stage: ClassifyStage,
    told: Told,
    offset: i64,
}

impl Bench {
    fn new(ask_below: f32, share_max: f32) -> Bench {
        Bench::with_threshold(ask_below, share_max, 0.6)
    }

    fn with_threshold(ask_below: f32, share_max: f32, threshold: f32) -> Bench {
        let told = Told::default();
        let opinion = Box::new(told.clone());
        let cascade = Cascade { opinion, ask_below, share_max, thresholds: [threshold; Label::ALL.len()] };
        let mut stage = classify_stage_with(RawFormat::Avro, Framing::SingleObject, KeyFormat::None, Some(cascade));
        let mut outputs = Outputs::default();
        stage.step(Input::Topology { inputs: &[1, 1], outputs: &[Some(1)] }, &mut outputs).unwrap();
        stage.step(Input::Assigned(&[(FROM, 0)]), &mut outputs).unwrap();
        stage.step(Input::Clock(NOW), &mut outputs).unwrap();
        Bench { stage, told, offset: 0 }
    }

    fn step(&mut self, input: Input<'_>) -> Vec<(usize, Kept)> {
        let mut outputs = Outputs::default();
        assert_eq!(self.stage.step(input, &mut outputs).unwrap(), Step::Done);
        keep(&outputs)
    }

    fn give(&mut self, value: &[u8]) -> Vec<(usize, Kept)> {
        let offset = self.offset;
        self.offset += 1;
        let headers = InputHeaders::default();
        let record = InputRecord { from: FROM, offset, timestamp: Some(NOW), key: None, value: Some(value), headers };
        self.step(Input::Record(record))
    }

    fn text(&mut self, text: &str) {
        let value = avro(&post(&self.offset.to_string(), "c", NOW + self.offset, text));
        assert!(self.give(&value).is_empty(), "held back until the commit");
    }

    /// What is classified at the commit, in order, and the queue items.
    fn flush(&mut self) -> (Vec<Value>, usize) {
        let outputs = self.step(Input::Flush);
        let classified =
            outputs.iter().filter(|(output, kept)| *output == ClassifyStage::CLASSIFIED && kept.key.is_some());
        let classified = classified.map(|(_, kept)| decoded(SchemaName::Classified, kept.value.as_ref().unwrap()));
        let items = outputs.iter().filter(|(output, _)| *output >= ClassifyStage::FIRST_QUEUE).count();
        (classified.collect(), items)
    }
}

#[test]
fn an_answer_decides_and_the_order_stays() {
    let mut bench = Bench::new(2.0, 1.0);
    bench.told.0.lock().unwrap().silent = vec![1];
    for text in ["paketnya sudah seminggu", "kecewa, paket rusak", "halo semua"] {
        bench.text(text);
    }
    let (classified, items) = bench.flush();
    let offsets: Vec<i64> = classified.iter().map(|value| value["origin_offset"].as_i64().unwrap()).collect();
    assert_eq!(offsets, [0, 1, 2]);
    assert_eq!((classified[0]["label"].as_str(), classified[0]["tier"].as_str()), (Some("tip"), Some("deep")));
    assert_eq!((classified[0]["model"].as_str(), classified[0]["queue"].as_str()), (Some("told-1"), Some("tip")));
    assert_eq!(classified[1]["tier"], "deep_skipped", "no answer: the fast tier decides");
    assert_ne!(classified[1]["model"], "told-1");
    assert_eq!(classified[2]["tier"], "deep");
    assert_eq!(items, 3);
    let tallies = bench.stage.tallies();
    assert_eq!((tallies.by_tier[Tier::Deep as usize], tallies.by_tier[Tier::DeepSkipped as usize]), (2, 1));
    assert_eq!(bench.flush().0.len(), 0, "each is emitted once");
}

#[test]
fn that_a_text_is_mixed_stays_whoever_decides() {
    let mut bench = Bench::new(2.0, 1.0);
    bench.told.0.lock().unwrap().silent = vec![1];
    for text in [MIXED, MIXED, "paketnya sudah seminggu"] {
        bench.text(text);
    }
    let (classified, _) = bench.flush();
    let said = classified.iter().map(|value| (value["tier"].as_str().unwrap(), value["mixed"].as_bool().unwrap()));
    assert_eq!(said.collect::<Vec<_>>(), [("deep", true), ("deep_skipped", true), ("deep", false)]);
}

#[test]
fn an_unsure_answer_goes_to_review() {
    for (threshold, abstained, queue) in [(0.6, false, "tip"), (0.95, true, "review")] {
        let mut bench = Bench::with_threshold(2.0, 1.0, threshold);
        bench.text("paketnya sudah seminggu");
        let (classified, _) = bench.flush();
        assert_eq!(classified[0]["abstained"].as_bool(), Some(abstained));
        assert_eq!(classified[0]["queue"].as_str(), Some(queue));
    }
}

#[test]
fn only_the_unsure_are_asked_for_and_no_more_than_the_share() {
    let mut bench = Bench::new(0.0, 1.0);
    bench.text("paketnya sudah seminggu");
    assert_eq!(bench.told.0.lock().unwrap().all_asked, 0, "the fast tier is sure enough");
    assert_eq!(bench.flush().0[0]["tier"], "fast");
    let mut bench = Bench::new(2.0, 0.1);
    for _ in 0..5_000 {
        bench.text("kecewa, paket rusak");
    }
    let asked = bench.told.0.lock().unwrap().all_asked;
    assert!((430..=507).contains(&asked), "{asked} of 5,000 at a tenth, and a burst of 64 of which a tenth was there");
    bench.flush();
}

#[test]
fn the_share_goes_to_those_that_are_worth_most() {
    let (sure, unsure) = ("makasih banyak, pelayanannya ramah dan cepat", "paketnya sudah seminggu");
    let mut bench = Bench::new(2.0, 0.25);
    for at in 0..4_000 {
        bench.text(if at % 5 == 0 { unsure } else { sure });
    }
    let orders = bench.told.0.lock().unwrap();
    let of_unsure = orders.asked.iter().filter(|(_, text, _)| text == unsure).count();
    assert!(of_unsure >= 780, "{of_unsure} of 800, and of the sure {}", orders.asked.len() - of_unsure);
    assert!(orders.asked.len() <= 1_016, "{}", orders.asked.len());
}

#[test]
fn nobody_is_asked_without_a_share() {
    let mut bench = Bench::new(2.0, 0.0);
    for _ in 0..100 {
        bench.text("paketnya sudah seminggu");
    }
    assert_eq!(bench.told.0.lock().unwrap().all_asked, 0);
    assert_eq!(bench.flush().0[0]["tier"], "deep_skipped");
}

#[test]
fn what_is_not_served_is_not_asked_for_and_stays_unsure() {
    let mut bench = Bench::new(2.0, 1.0);
    bench.text("จัดส่งช้ามาก สินค้าเสียหาย ไม่มีใครตอบเลย");
    assert_eq!(bench.told.0.lock().unwrap().all_asked, 0);
    let (classified, _) = bench.flush();
    assert_eq!((classified[0]["language"].as_str(), classified[0]["queue"].as_str()), (Some("other"), Some("review")));
}

#[test]
fn a_clock_set_back_stops_nothing_that_is_held_back() {
    let mut bench = Bench::new(2.0, 1.0);
    bench.text("kecewa, paket rusak");
    bench.step(Input::Clock(NOW - 86_400_000));
    assert_eq!(bench.flush().0.len(), 1);
}

#[test]
fn complaints_are_more_urgent() {
    let mut bench = Bench::new(2.0, 1.0);
    bench.text("kecewa berat, barang rusak dan CS tidak membalas");
    bench.text("makasih banyak, pelayanannya ramah dan cepat");
    let orders = bench.told.0.lock().unwrap();
    assert!(orders.asked[0].2 > orders.asked[1].2 + 100, "{:?}", orders.asked);
}

#[test]
fn who_takes_nothing_changes_nothing_but_the_mark() {
    let mut bench = Bench::new(2.0, 1.0);
    bench.told.0.lock().unwrap().refuses = true;
    let mut alone = Bench::new(0.0, 0.0);
    for bench in [&mut bench, &mut alone] {
        bench.text("kecewa berat, barang rusak dan CS tidak membalas");
    }
    let (mut with, mut without) = (bench.flush().0, alone.flush().0);
    assert_eq!((with[0]["tier"].take(), without[0]["tier"].take()), ("deep_skipped".into(), "fast".into()));
    assert_eq!(with, without);
}

#[test]
fn what_is_lost_is_not_emitted_and_what_is_bad_is_a_dead_letter_at_once() {
    let mut bench = Bench::new(2.0, 1.0);
    bench.text("kecewa, paket rusak");
    let letters = bench.give(b"no record");
    assert_eq!((letters.len(), letters[0].0), (1, ClassifyStage::DEAD_LETTERS));
    bench.stage.ledgers(&mut |_, ledger| {
        assert_eq!((ledger.count(Outcome::Classified), ledger.count(Outcome::DeadLettered)), (1, 1));
    });
    assert!(bench.step(Input::Lost(&[FROM])).is_empty());
    assert_eq!(bench.told.0.lock().unwrap().forgotten, 1);
    bench.step(Input::Assigned(&[(FROM, 0)]));
    assert!(bench.flush().0.is_empty());
}

#[test]
fn a_marker_does_not_overtake_what_is_held_back() {
    let mut bench = Bench::new(2.0, 1.0);
    bench.step(Input::EndOfPartition(FROM, 0));
    bench.flush();
    bench.step(Input::EndOfPartition(FROM, 0));
    let value = avro(&post("0", "c", NOW, "kecewa, paket rusak"));
    bench.give(&value);
    bench.step(Input::EndOfPartition(FROM, 1));
    let outputs = bench.step(Input::MoreToRead(&[FROM]));
    let keys: Vec<bool> = outputs
        .iter()
        .filter(|(output, _)| *output == ClassifyStage::CLASSIFIED)
        .map(|(_, kept)| kept.key.is_some())
        .collect();
    assert_eq!(keys, [true, false], "the interaction, then the marker");
}

#[test]
fn a_long_batch_is_released_before_it_grows_beyond_its_bound() {
    let mut bench = Bench::new(0.0, 0.0);
    let value = avro(&post("0", "c", NOW, &"a".repeat(200_000)));
    let mut released = 0;
    for _ in 0..100 {
        released += bench.give(&value).len();
    }
    assert!(released > 50, "{released}");
}
