//! The configuration of a run.

use flags::{Problem, Within, flags, levels};

levels! {
    /// Which dataset is the reference (V1), and which its replication (V2).
    pub enum Data {
        /// CIFAR-10H: 30 models on the CIFAR-10 test set, whose images have the true selection frequencies that about 51 people gave. The replication is drawn from the same images with weights `pool_tilt - s`, so that no gap is true.
        Cifar10h = "cifar10h",
        /// Frequencies Beta(8, 2), pool Beta(2, 2), accuracy a polynomial of the frequency: no gap is true.
        SyntheticBeta = "synthetic-beta",
        /// Frequencies 0.70 Beta(9, 1) + 0.20 Beta(4, 3) + 0.10 Beta(1, 4), pool 0.45 Beta(7, 1.2) + 0.55 Beta(0.8, 1.4): no gap is true.
        SyntheticMixture = "synthetic-mixture",
        /// 64 models on ImageNet's validation set and on ImageNet-v2 MatchedFrequency; no annotations are published.
        ImagenetV2MatchedFrequency = "imagenet-v2-matched-frequency",
        /// The same on ImageNet-v2 Threshold0.7.
        ImagenetV2Threshold07 = "imagenet-v2-threshold07",
        /// The same on ImageNet-v2 TopImages.
        ImagenetV2TopImages = "imagenet-v2-top-images",
        /// The same on the 20,000 images of the validation set that were annotated for ImageNet-v2: a control.
        ImagenetVal20k = "imagenet-val20k",
        /// 30 models on the CIFAR-10 test set and on CIFAR-10.1 v4; no annotations are published.
        Cifar101V4 = "cifar10.1-v4",
        /// The same on CIFAR-10.1 v6.
        Cifar101V6 = "cifar10.1-v6",
        /// Accuracies on ImageNet and on ImageNet-v2 MatchedFrequency of the timm models of May 2020 that were trained on ImageNet alone.
        Timm = "timm-2020-05-03",
        /// The ten models that the output of the authors' published notebook shows: accuracies, and adjusted accuracies by the parametric estimator.
        EngstromNotebook = "engstrom-notebook",
        /// Your own annotations, see `path`.
        File = "file",
    }
}

levels! {
    /// How accuracy depends on the true selection frequency s in synthetic data.
    pub enum SyntheticModel {
        /// s.
        Identity = "identity",
        /// 0.15 + 0.7 s.
        Linear = "linear",
        /// 0.3 + 0.1 s + 0.5 s^2.
        Quadratic = "quadratic",
        /// 0.25 + 0.2 s - 0.15 s^2 + 0.6 s^3.
        Cubic = "cubic",
    }
}

levels! {
    /// How images are drawn from the pool, given the selections of `matching_annotators` annotators.
    pub enum MatchingRule {
        /// Every number of selections is as frequent as in the reference.
        Exact = "exact",
        /// The bins [0, .2), [.2, .4), ..., [.8, 1] of the observed frequency are as frequent as in the reference (ImageNet-v2 MatchedFrequency).
        FiveBins = "five-bins",
        /// Images with an observed frequency of at least `matching_threshold` (ImageNet-v2 Threshold0.7).
        Threshold = "threshold",
        /// The share `matching_top` of the pool with the highest observed frequencies (ImageNet-v2 TopImages).
        Top = "top",
        /// None: the pool itself.
        None = "none",
    }
}

levels! {
    /// How the images of the replication leave the pool.
    pub enum Drawing {
        /// One by one, independently, with the weights that matching gives; so that expectations can be computed.
        Independent = "independent",
        /// As ImageNet-v2 was drawn, and as Appendix D draws: class by class from a finite pool of candidates, whole numbers of images a bin by largest remainder, missing ones from the next higher bin. Annotators of an image are split at random into those who are matched and those who are not.
        ByClass = "by-class",
    }
}

levels! {
    /// Whether the run computes expectations or draws.
    pub enum Expectation {
        /// Every expectation over images and annotators is computed; replicates are equal to the last bit.
        Exact = "exact",
        /// Images and their annotators are drawn.
        Sampled = "sampled",
    }
}

levels! {
    /// How accuracy on the replication is adjusted for selection frequency.
    pub enum Estimator {
        /// Not at all.
        Raw = "raw",
        /// By bins of the observed frequency (Section 5.1).
        Naive = "naive",
        /// The same, its bias corrected by the delete-d jackknife with exact expectations over the annotators that are deleted (Section 5.2).
        Jackknife = "jackknife",
        /// The jackknife as released: `jackknife_replicates` random subsets, drawn for each image on its own.
        JackknifeSampled = "jackknife-sampled",
        /// A mixture of beta distributions for the true frequency and a spline for the accuracy given it (Section 5.3).
        Parametric = "parametric",
        /// As printed in the authors' notebook; with `data = "engstrom-notebook"` only.
        Published = "published",
    }
}

levels! {
    /// What becomes of reference images whose number of selections no image of the replication has.
    pub enum EmptyBinRule {
        /// They are lost, as in the released code: the estimate is too small by their share.
        Drop = "drop",
        /// The other bins make up the whole.
        Renormalise = "renormalise",
        /// They take the accuracy of the nearest bin with images.
        Nearest = "nearest",
    }
}

flags! {
    /// A replication, how it is annotated, and how its gap is estimated.
    pub struct Config {
        /// Which dataset is the reference (V1), and which its replication (V2).
        #[flag(group = "Data", unit = "", source = "files as listed by `ceteris data`")]
        pub data: Data = Data::Cifar10h,
        /// Your own file, for `data = "file"`: Parquet, CSV or JSON lines with the columns `dataset` ("v1" or "v2"), `image`, `selected` (a boolean a row and annotator, or a count with `total`) and `correct_MODEL`. Empty otherwise.
        #[flag(group = "Data", unit = "", source = "columns of the released code")]
        pub path: String = String::new(),
        /// SHA-256 of that file, which makes its content part of a run's identity.
        #[flag(group = "Data", unit = "", source = "ours")]
        pub sha256: String = String::new(),
        /// The models that count: "all", or names with commas between.
        #[flag(group = "Data", unit = "", source = "ours")]
        pub models: String = "all".to_owned(),
        /// How accuracy depends on the true frequency in synthetic data.
        #[flag(group = "Data", unit = "", source = "ours")]
        pub synthetic_model: SyntheticModel = SyntheticModel::Quadratic,
        /// Of CIFAR-10H, the weight of an image in the pool is this minus its true frequency: the smaller, the worse the pool.
        #[flag(group = "Data", unit = "", within = Within::at_least(1.0), source = "ours")]
        pub pool_tilt: f64 = 1.05,
        /// Whether the pool is first restricted to images that at least two of four other annotators select (Appendix D.3).
        #[flag(group = "Matching", unit = "", source = "released code, `ezflickr`")]
        pub easy_pool: bool = false,
        /// How images are drawn from the pool.
        #[flag(group = "Matching", unit = "", source = "paper, Section 2; ImageNetV2 repository")]
        pub matching: MatchingRule = MatchingRule::Exact,
        /// Annotators whose selections are matched, of the reference and of the pool.
        #[flag(group = "Matching", unit = "annotators", within = Within::closed(1.0, 1000.0), source = "ImageNetV2 repository: 10")]
        pub matching_annotators: usize = 10,
        /// Least observed frequency of `matching = "threshold"`.
        #[flag(group = "Matching", unit = "", within = Within::above_up_to(0.0, 1.0), source = "ImageNetV2 repository")]
        pub matching_threshold: f64 = 0.7,
        /// Share of the pool that `matching = "top"` takes.
        #[flag(group = "Matching", unit = "", within = Within::above_up_to(0.0, 1.0), source = "ours")]
        pub matching_top: f64 = 0.25,
        /// How the images of the replication leave the pool.
        #[flag(group = "Matching", unit = "", source = "released code, `match_datasets`; ImageNetV2 repository")]
        pub drawing: Drawing = Drawing::Independent,
        /// Of `drawing = "by-class"`, images of a class that the replication has.
        #[flag(group = "Matching", unit = "images", within = Within::closed(1.0, 1e6), source = "ImageNetV2 repository: 10; released code, Appendix D: 4")]
        pub images_per_class: usize = 10,
        /// Images of a class whose histogram is matched: the reference.
        #[flag(group = "Matching", unit = "images", within = Within::closed(1.0, 1e6), source = "ImageNetV2 repository: 20 annotated images of the validation set")]
        pub reference_per_class: usize = 20,
        /// Candidates of a class.
        #[flag(group = "Matching", unit = "images", within = Within::closed(1.0, 1e6), source = "ours")]
        pub candidates_per_class: usize = 100,
        /// Classes of synthetic data, which are alike; CIFAR-10H has its ten.
        #[flag(group = "Matching", unit = "classes", within = Within::closed(1.0, 1e5), source = "ImageNet: 1000")]
        pub synthetic_classes: usize = 1000,
        /// Fresh annotators of every image of both datasets, whose selections the estimator sees.
        #[flag(group = "Annotation", unit = "annotators", within = Within::closed(1.0, 1000.0), source = "released code: about 40")]
        pub annotators: usize = 40,
        /// Whether the run computes expectations or draws.
        #[flag(group = "Annotation", unit = "", source = "ours")]
        pub expectation: Expectation = Expectation::Exact,
        /// Images of either dataset that are drawn.
        #[flag(group = "Annotation", unit = "images", within = Within::closed(2.0, 1e7), source = "paper: 10,000")]
        pub images: usize = 10_000,
        /// How accuracy on the replication is adjusted for selection frequency.
        #[flag(group = "Estimate", unit = "", source = "paper, Sections 5.1 to 5.3")]
        pub estimator: Estimator = Estimator::Naive,
        /// Annotators that the jackknife deletes; the fewer, the more it multiplies noise.
        #[flag(group = "Estimate", unit = "annotators", within = Within::at_least(1.0), source = "released code: 1; 10 is as noisy as the naive estimate at 40 annotators")]
        pub jackknife_deleted: usize = 10,
        /// Random subsets of the sampled jackknife.
        #[flag(group = "Estimate", unit = "", within = Within::at_least(1.0), source = "released code")]
        pub jackknife_replicates: usize = 100,
        /// What becomes of reference images whose number of selections no image of the replication has.
        #[flag(group = "Estimate", unit = "", source = "released code: drop")]
        pub empty_bins: EmptyBinRule = EmptyBinRule::Renormalise,
        /// Beta distributions in either mixture.
        #[flag(group = "Estimate", unit = "", within = Within::closed(1.0, 10.0), source = "released code")]
        pub mixture_components: usize = 3,
        /// Starts of either mixture's fit.
        #[flag(group = "Estimate", unit = "", within = Within::closed(1.0, 100.0), source = "released code: 5")]
        pub mixture_starts: usize = 5,
        /// Rounds of a fit at most.
        #[flag(group = "Estimate", unit = "", within = Within::closed(1.0, 100_000.0), source = "released code: 200")]
        pub mixture_rounds: usize = 1000,
        /// Resamples of the bootstrap interval of the gap; 0 for none.
        #[flag(group = "Interval", unit = "", within = Within::closed(0.0, 1e6), source = "ours")]
        pub bootstrap_resamples: usize = 0,
        /// Whether the annotators of a resampled image are resampled, too. It adds their noise a second time, which moves adjusted gaps up as fewer annotators would.
        #[flag(group = "Interval", unit = "", source = "ours")]
        pub bootstrap_annotators: bool = true,
        /// The gap in percentage points for which the run says how many annotators and images are needed; "off" for none.
        #[flag(group = "Design", unit = "pp", within = Within::positive(), source = "ours")]
        pub target_gap: Option<f64> = None,
        /// Probability with which a gap of `target_gap` is to be told from zero at the 5 % level, for which the run says how many images are needed.
        #[flag(group = "Design", unit = "1", within = Within::closed(0.5, 0.9999), source = "convention")]
        pub target_power: f64 = 0.8,
    }
}

/// What a dataset consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A population whose true frequencies are known: replication and annotation are simulated.
    Population,
    /// Images with predictions and nothing else.
    Predictions,
    /// Accuracies alone.
    Accuracies,
    /// Images with predictions and votes.
    Votes,
}

impl Data {
    pub(super) fn content(self) -> Content {
        match self {
            Self::Cifar10h | Self::SyntheticBeta | Self::SyntheticMixture => Content::Population,
            Self::ImagenetV2MatchedFrequency
            | Self::ImagenetV2Threshold07
            | Self::ImagenetV2TopImages
            | Self::ImagenetVal20k
            | Self::Cifar101V4
            | Self::Cifar101V6 => Content::Predictions,
            Self::Timm | Self::EngstromNotebook => Content::Accuracies,
            Self::File => Content::Votes,
        }
    }
}

impl Config {
    /// Images of a class that are drawn and annotated.
    pub(super) fn images_of_class(&self) -> usize {
        self.reference_per_class + self.candidates_per_class
    }

    /// Whether nothing is drawn, neither images nor annotators nor resamples.
    pub(super) fn is_exact(&self) -> bool {
        match (self.data.content(), self.expectation) {
            (Content::Population, expectation) => expectation == Expectation::Exact,
            (Content::Accuracies, _) => true,
            (Content::Predictions | Content::Votes, _) => {
                self.bootstrap_resamples == 0 && self.estimator != Estimator::JackknifeSampled
            }
        }
    }

    /// Problems between fields.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut report = |fields: &[&'static str], message: String, help: &str| {
            problems.push(Problem { fields: fields.to_vec(), message, help: help.to_owned() });
        };
        let content = self.data.content();
        let printed = self.data == Data::EngstromNotebook;
        let annotated = matches!(content, Content::Population | Content::Votes);
        match self.estimator {
            Estimator::Raw => {}
            Estimator::Published if printed => {}
            Estimator::Published => report(
                &["estimator", "data"],
                format!("no adjusted accuracies were published for {}", self.data),
                "choose data = \"engstrom-notebook\", or another estimator",
            ),
            _ if annotated => {}
            _ => report(
                &["estimator", "data"],
                format!("{} has no annotations to adjust for", self.data),
                "set estimator = \"raw\"",
            ),
        }
        let jackknife =
            matches!(self.estimator, Estimator::Jackknife | Estimator::JackknifeSampled);
        if jackknife && self.jackknife_deleted >= self.annotators {
            report(
                &["jackknife_deleted", "annotators"],
                format!(
                    "{} of {} annotators cannot be deleted",
                    self.jackknife_deleted, self.annotators
                ),
                "delete fewer than there are",
            );
        }
        let drawn = self.expectation == Expectation::Sampled || content == Content::Votes;
        if self.estimator == Estimator::JackknifeSampled && annotated && !drawn {
            report(
                &["estimator", "expectation"],
                "random subsets of annotators need drawn images".to_owned(),
                "set expectation = \"sampled\", or estimator = \"jackknife\"",
            );
        }
        if self.bootstrap_resamples > 0
            && (content == Content::Accuracies || content == Content::Population && !drawn)
        {
            report(
                &["bootstrap_resamples", "data"],
                "there are no images to resample".to_owned(),
                "set bootstrap_resamples = 0, or expectation = \"sampled\"",
            );
        }
        let by_class = self.drawing == Drawing::ByClass;
        if by_class && !(content == Content::Population && drawn) {
            report(
                &["drawing", "expectation", "data"],
                "drawing class by class needs a pool and drawn images".to_owned(),
                "set expectation = \"sampled\" and data that is simulated, or drawing = \"independent\"",
            );
        }
        let classwise = [MatchingRule::FiveBins, MatchingRule::Threshold, MatchingRule::Top];
        if by_class && !classwise.contains(&self.matching) {
            report(
                &["drawing", "matching"],
                format!(
                    "no images were drawn class by class with matching = \"{}\"",
                    self.matching
                ),
                "choose \"five-bins\", \"threshold\" or \"top\", or drawing = \"independent\"",
            );
        }
        if by_class && self.target_gap.is_some() {
            report(
                &["drawing", "target_gap"],
                "what a design needs is computed for images that are drawn independently"
                    .to_owned(),
                "set drawing = \"independent\", or leave target_gap out",
            );
        }
        let file = self.data == Data::File;
        if file == self.path.is_empty() || file == self.sha256.is_empty() {
            report(
                &["path", "sha256", "data"],
                "`path` and `sha256` belong to data = \"file\", which needs both".to_owned(),
                "name the file and its SHA-256 (sha256sum FILE), or leave both out",
            );
        }
        let hexadecimal =
            self.sha256.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
        if !self.sha256.is_empty() && (self.sha256.len() != 64 || !hexadecimal) {
            report(
                &["sha256"],
                format!("{:?} is no SHA-256", self.sha256),
                "write 64 lower-case hexadecimal digits",
            );
        }
        problems
    }
}
