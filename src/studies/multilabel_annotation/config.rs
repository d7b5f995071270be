//! What an analysis of annotations can choose.

use flags::{Problem, Within};

flags::levels! {
    /// Where images, votes and predictions come from.
    pub enum Source {
        /// The published annotations of ImageNet's validation images, with predictions of 64 models.
        ImageNet = "imagenet",
        /// A simulation in which the truth is known.
        Synthetic = "synthetic",
    }
}

flags::levels! {
    /// What counts as a correct prediction.
    pub enum Labels {
        /// The data set's own label.
        ImageNet = "imagenet",
        /// The label that most annotators gave to the main object.
        Main = "main",
        /// A label of any object in the image (Tsipras et al.'s multi-label accuracy).
        AnyObject = "any-object",
        /// A label of the second annotation system, which asks of every proposed label whether it is valid (ReaL); images without a valid label are left out.
        Real = "real",
    }
}

flags::levels! {
    /// Which images are looked at.
    pub enum Subset {
        /// Every image with a prediction: of ImageNet, the 50,000 of the validation set.
        Validation = "validation",
        /// The annotated sample: of ImageNet, 10 images a class.
        Sample = "sample",
        /// Of these, the ones that have a main label: easy ones, where it is taken to be the given label, and classified ones.
        Labelled = "labelled",
        /// The ones that annotators classified.
        ToClassify = "to-classify",
        /// The ones whose given label alone is confident after CONTAINS.
        Easy = "easy",
        /// The classified ones with several objects.
        MultiObject = "multi-object",
        /// The classified ones with one object, and the easy ones.
        SingleObject = "single-object",
    }
}

flags::levels! {
    /// How answers about proposed labels become valid labels.
    pub enum LabelModel {
        /// As published: of ImageNet, the release of Beyer et al. 2020.
        Published = "published",
        /// The share of votes for a label, an undecided one counting half.
        Majority = "majority",
        /// Dawid and Skene 1979: a confusion matrix a rater, by expectation-maximisation.
        DawidSkene = "dawid-skene",
        /// The same with raters drawn from one population that is estimated, by variational Bayes (Carpenter 2008; Kim and Ghahramani 2012; Paun et al. 2018).
        PooledDawidSkene = "pooled-dawid-skene",
        /// Whitehill et al. 2009: an ability a rater, an easiness an item; undecided answers are left out.
        Glad = "glad",
    }
}

flags::levels! {
    /// Which labels annotators are asked about.
    pub enum Candidates {
        /// Of ImageNet, the ones that ReaL's raters were asked about; in the simulation an image's objects, what they are taken for, the given label and two classes at random.
        Known = "known",
        /// What models propose, with the given label: in the simulation the five most likely classes of each, and annotators classify by the labels that CONTAINS left over; of ImageNet, whose five most likely classes are not published, the most likely one.
        Models = "models",
    }
}

flags::levels! {
    /// Whether a label with exactly the share `rival` of the given label's selection frequency is its rival.
    pub enum RivalTie {
        /// It is (Tsipras et al.: another label reaches half).
        Rival = "rival",
        /// It is not.
        NoRival = "no-rival",
    }
}

flags::levels! {
    /// Which of several labels with most main votes is the main label.
    pub enum MainTieRule {
        /// The one that was voted for first (the published annotations).
        FirstVote = "first-vote",
        /// The one whose first vote came last.
        LastVote = "last-vote",
        /// The data set's label where it is among them.
        PreferGiven = "prefer-given",
        /// Another than the data set's label.
        AvoidGiven = "avoid-given",
    }
}

flags::levels! {
    /// Which of several most frequent numbers of objects counts.
    pub enum CountTieRule {
        /// The one that was voted for first (the published annotations).
        FirstVote = "first-vote",
        /// The smallest.
        Fewest = "fewest",
        /// The largest.
        Most = "most",
    }
}

flags::flags! {
    /// One analysis of annotations.
    pub struct AnnotationConfig {
        /// Where images, votes and predictions come from.
        #[flag(group = "Data", unit = "", source = "Tsipras et al. 2020; Beyer et al. 2020", shape)]
        pub data: Source = Source::ImageNet,
        /// Which images are looked at.
        #[flag(group = "Data", unit = "", source = "Tsipras et al. 2020")]
        pub subset: Subset = Subset::Sample,
        /// Disjoint parts that the images are dealt into, class by class and at random by the study seed. Replicate r looks at part r, so that replicates differ as samples of images do and their mean is that of all images; 1 looks at every image. A study of published data cannot have more replicates than this.
        #[flag(group = "Data", unit = "", within = Within::closed(1.0, 50.0), source = "random groups, Wolter 2007")]
        pub folds: u64 = 1,
        /// Votes on an image, and on a proposed label, at most: so many are drawn, the others left out.
        #[flag(group = "Data", unit = "votes", within = Within::closed(1.0, 100.0), source = "Tsipras et al. 2020: 9; Beyer et al. 2020: 5")]
        pub votes: u32 = 9,
        /// Which labels annotators are asked about.
        #[flag(group = "Candidates", unit = "", source = "Tsipras et al. 2020: five most likely classes of ten models")]
        pub candidates: Candidates = Candidates::Known,
        /// Of a simulation, labels beside the given one that CLASSIFY offers, those with the largest selection frequencies; for `candidates = "models"`.
        #[flag(group = "Candidates", unit = "labels", within = Within::closed(1.0, 100.0), source = "Tsipras et al. 2020: 5")]
        pub offered: u32 = 5,
        /// Of a simulation, annotators of the given label below which an image is ambiguous.
        #[flag(group = "Candidates", unit = "annotators", within = Within::closed(1.0, 100.0), source = "Tsipras et al. 2020: 5")]
        pub fewest_annotators: u32 = 5,
        /// Of a simulation, the share of the given label's selection frequency from which on another label is its rival, so that the image is classified.
        #[flag(group = "Candidates", unit = "1", within = Within::closed(0.0, 1.0), source = "Tsipras et al. 2020: 0.5")]
        pub rival: f64 = 0.5,
        /// Of a simulation, whether a label with exactly this share is a rival.
        #[flag(group = "Candidates", unit = "", source = "Tsipras et al. 2020: rival")]
        pub rival_tie: RivalTie = RivalTie::Rival,
        /// The model whose predictions are judged, or `all`.
        #[flag(group = "Evaluation", unit = "", source = "Recht et al. 2019, predictions")]
        pub model: String = "all".to_owned(),
        /// What counts as a correct prediction.
        #[flag(group = "Evaluation", unit = "", source = "Tsipras et al. 2020; Beyer et al. 2020")]
        pub labels: Labels = Labels::ImageNet,
        /// Which of several labels with most main votes is the main label.
        #[flag(group = "Derived labels", unit = "", source = "release f939d1f: first-vote, found by matching its 6,761 images")]
        pub main_tie: MainTieRule = MainTieRule::FirstVote,
        /// Which of several most frequent numbers of objects counts.
        #[flag(group = "Derived labels", unit = "", source = "release f939d1f: first-vote, found by matching its 6,761 images")]
        pub count_tie: CountTieRule = CountTieRule::FirstVote,
        /// How answers about proposed labels become valid labels.
        #[flag(group = "Derived labels", unit = "", source = "Beyer et al. 2020")]
        pub label_model: LabelModel = LabelModel::Published,
        /// A proposed label is valid when its score is above this.
        #[flag(group = "Derived labels", unit = "1", within = Within::closed(0.0, 1.0), source = "Beyer et al. 2020: 0.8, found by matching their labels")]
        pub threshold: f64 = 0.8,
        /// Votes that Dawid and Skene's models add to every cell of a confusion matrix.
        #[flag(group = "Derived labels", unit = "votes", within = Within::closed(0.0, 100.0), source = "Laplace's rule: 1")]
        pub smoothing: f64 = 1.0,
        /// Whether items that experts judged enter the label model with their judgement fixed.
        #[flag(group = "Derived labels", unit = "", source = "Beyer et al. 2020, golden items")]
        pub golden: bool = false,
        /// Confidence in the leading label below which an image needs more votes.
        #[flag(group = "Annotation design", unit = "1", within = Within::closed(0.5, 0.9999), source = "convention")]
        pub confidence: f64 = 0.95,
        /// Whether the table `images` is written.
        #[flag(group = "Annotation design", unit = "", source = "none")]
        pub image_table: bool = false,
        /// Classes of the simulation, in pairs that are confused.
        #[flag(group = "Simulation", unit = "classes", within = Within::closed(4.0, 1000.0), source = "none")]
        pub sim_classes: u32 = 100,
        /// Its images a class.
        #[flag(group = "Simulation", unit = "images", within = Within::closed(1.0, 1000.0), source = "Tsipras et al. 2020: 10")]
        pub sim_images_per_class: u32 = 10,
        /// Probability of each further object after the first, up to five.
        #[flag(group = "Simulation", unit = "1", within = Within::closed(0.0, 0.9), source = "Tsipras et al. 2020: 21.6 % of images have several")]
        pub sim_further_object: f64 = 0.22,
        /// Probability that an image was found by a search for its class, however salient the object; otherwise the class is the most salient object's.
        #[flag(group = "Simulation", unit = "1", within = Within::closed(0.0, 1.0), source = "none")]
        pub sim_query: f64 = 0.8,
        /// Probability that the given label is that of the confusable class.
        #[flag(group = "Simulation", unit = "1", within = Within::closed(0.0, 1.0), source = "none")]
        pub sim_mislabelled: f64 = 0.02,
        /// Mean probability that an annotator takes an object for the confusable class; it differs from image to image.
        #[flag(group = "Simulation", unit = "1", within = Within::closed(0.0, 0.9), source = "none")]
        pub sim_confusion: f64 = 0.15,
        /// Spread of the noise that annotators add to the logarithm of an object's salience.
        #[flag(group = "Simulation", unit = "1", within = Within::closed(0.0, 10.0), source = "none")]
        pub sim_salience_noise: f64 = 0.5,
        /// Annotators in all.
        #[flag(group = "Simulation", unit = "annotators", within = Within::closed(2.0, 10000.0), source = "Beyer et al. 2020: 85")]
        pub sim_raters: u32 = 40,
        /// Share of annotators who answer CONTAINS questions at random.
        #[flag(group = "Simulation", unit = "1", within = Within::closed(0.0, 1.0), source = "none")]
        pub sim_careless: f64 = 0.15,
        /// Simulated models, from poor to good.
        #[flag(group = "Simulation", unit = "models", within = Within::closed(1.0, 64.0), source = "none")]
        pub sim_models: u32 = 8,
    }
}

impl AnnotationConfig {
    /// What does not fit together.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let simulated = self.data == Source::Synthetic;
        if simulated && self.labels == Labels::Real && self.label_model == LabelModel::Published {
            problems.push(Problem {
                fields: vec!["label_model", "data"],
                message: "a simulation has no published labels".into(),
                help: "choose a label model, such as `dawid-skene`".into(),
            });
        }
        let default = Self::default();
        let sorted = |config: &Self| {
            (config.offered, config.fewest_annotators, config.rival, config.rival_tie)
        };
        if !simulated && sorted(self) != sorted(&default) {
            problems.push(Problem {
                fields: vec!["offered", "fewest_annotators", "rival", "rival_tie", "data"],
                message:
                    "the votes by which ImageNet's images were sorted are not published, so that \
                          their partition is fixed"
                        .into(),
                help: "leave these fields out, or set `data = \"synthetic\"`".into(),
            });
        }
        if self.golden && (simulated || !self.label_model.fits_known()) {
            problems.push(Problem {
                fields: vec!["golden", "label_model"],
                message: "there is no judgement of experts that this label model could use".into(),
                help:
                    "set `golden = false`, or `data = \"imagenet\"` with one of Dawid and Skene's \
                       models"
                        .into(),
            });
        }
        problems
    }
}

impl LabelModel {
    fn fits_known(self) -> bool {
        matches!(self, Self::DawidSkene | Self::PooledDawidSkene)
    }
}
