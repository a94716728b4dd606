//! Whether what comes of a traced record names it as its cause, and nothing else does.

use pipeline::classify::{Cascade, Probabilities, SecondOpinion};
use pipeline::{ClassifyStage, KeyFormat};
use record::stage::{Input, InputHeaders, InputPartition, InputRecord, Outputs, Stage};
use record::{Label, TRACEPARENT, TraceContext};
use wire::{Framing, RawFormat};

use crate::world::{NOW, avro, classify_stage_with, post};

const FROM: InputPartition = InputPartition { input: 0, partition: 0 };

/// Answers nothing, so that records are held until the commit.
#[derive(Debug)]
struct Silent;

impl SecondOpinion for Silent {
    fn model_version(&self) -> &str {
        "silent"
    }

    fn submit(&mut self, _: u32, _: &str, _: u32) -> bool {
        true
    }

    fn collect(&mut self, _: &mut dyn FnMut(u32, Probabilities)) {}

    fn forget(&mut self) {}
}

/// The outputs that each of three records and the commit give rise to, and the context that each names. Only the second record is
/// traced.
fn contexts(cascade: Option<Cascade>) -> Vec<(usize, Option<TraceContext>)> {
    let mut stage = classify_stage_with(RawFormat::Avro, Framing::SingleObject, KeyFormat::None, cascade);
    let mut outputs = Outputs::default();
    stage.step(Input::Topology { inputs: &[1, 1], outputs: &[Some(1)] }, &mut outputs).unwrap();
    stage.step(Input::Assigned(&[(FROM, 0)]), &mut outputs).unwrap();
    stage.step(Input::Clock(NOW), &mut outputs).unwrap();
    for offset in 0..3 {
        let value = avro(&post(&offset.to_string(), "c", NOW, "kecewa, paket saya belum sampai juga"));
        let headers = InputHeaders::default().with_trace((offset == 1).then_some(traced()));
        let record = InputRecord { from: FROM, offset, timestamp: Some(NOW), key: None, value: Some(&value), headers };
        stage.step(Input::Record(record), &mut outputs).unwrap();
    }
    stage.step(Input::Flush, &mut outputs).unwrap();
    let context = |value: &[u8]| TraceContext::parse(value).unwrap();
    let record = |record: record::stage::OutputRecord<'_>| {
        let mut headers = record.headers();
        (record.output, headers.next().map(|(name, value)| (name == TRACEPARENT).then(|| context(value)).unwrap()))
    };
    outputs.records().map(record).collect()
}

fn traced() -> TraceContext {
    TraceContext { trace_id: [1; 16], span_id: [2; 8], sampled: true }
}

#[test]
fn a_classified_record_and_its_queue_item_name_their_cause() {
    let cascade =
        || Cascade { opinion: Box::new(Silent), ask_below: 2.0, share_max: 1.0, thresholds: [0.0; Label::ALL.len()] };
    for cascade in [None, Some(cascade())] {
        let contexts = contexts(cascade);
        let of = |output: usize| -> Vec<Option<TraceContext>> {
            contexts.iter().filter(|(to, _)| *to == output).map(|(_, context)| *context).collect()
        };
        // The last one is a marker.
        assert_eq!(of(ClassifyStage::CLASSIFIED), [None, Some(traced()), None, None]);
        let queue = contexts.iter().map(|(to, _)| *to).find(|to| *to >= ClassifyStage::FIRST_QUEUE).unwrap();
        assert_eq!(of(queue), [None, Some(traced()), None]);
    }
}
