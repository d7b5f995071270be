//! Annotations of items by several people: what an image holds, which label is meant, and how far
//! each annotator can be believed.
//!
//! The pipeline of Tsipras et al. 2020 ("From ImageNet to Image Classification", ICML) asks two
//! questions. CONTAINS: does the image contain an object of this class? [`Tally`] counts the answers,
//! [`partition`] sorts images by them. CLASSIFY: which of these labels does the image show, one an
//! object, and which is the main one? [`main_label`], [`object_count`] and [`objects`] answer it from
//! the votes, every tie rule by name.
//!
//! [`dawid_skene`], [`pooled_dawid_skene`] and [`glad`] estimate true answers from votes of raters
//! that differ; [`Confusion`] holds who takes what for what; [`leader_confidence`] and
//! [`votes_needed`] say which items need more votes.

mod confusion;
mod dawid_skene;
mod design;
mod glad;
mod objects;
mod votes;

pub use confusion::{ConfusedPair, Confusion, pearson};
pub use dawid_skene::{
    DawidSkene, DawidSkeneOptions, PooledDawidSkene, dawid_skene, pooled_dawid_skene,
};
pub use design::{leader_confidence, votes_needed};
pub use glad::{Glad, GladOptions, glad};
pub use objects::{
    ClassifyVote, CountTie, MainTie, Objects, Partition, PartitionRule, Tally, candidates, cut,
    main_label, main_object, object_count, objects, offered, partition,
};
pub use votes::{Stopping, Vote, Votes, VotesError, expected};
