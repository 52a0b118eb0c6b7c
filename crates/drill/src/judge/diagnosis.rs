//! Grades a diagnosis against what the pack says.

use serde::{Deserialize, Serialize};

use crate::pack::EvidencePattern;

/// What the user names, or what the pack says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diagnosis {
    /// The component at fault, of the closed list; `none` without a fault.
    pub component: String,
    /// The mechanism, of the closed list.
    pub mechanism: String,
    /// Evidence, `KIND:TEXT`. In a pack: patterns, `KIND:REGEX`, of which one suffices.
    pub evidence: Vec<String>,
}

/// What a diagnosis is worth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiagnosisGrade {
    /// Whether the component is right.
    pub component: bool,
    /// Whether the mechanism is right.
    pub mechanism: bool,
    /// Whether a named artifact points there.
    pub evidence: bool,
}

impl DiagnosisGrade {
    /// Whether everything is right.
    pub fn is_right(self) -> bool {
        self.component && self.mechanism && self.evidence
    }

    /// Parts that are right, 0 to 3.
    pub fn points(self) -> u8 {
        u8::from(self.component) + u8::from(self.mechanism) + u8::from(self.evidence)
    }
}

/// Grades a diagnosis against each cause of a drill, and returns the best grade: one of a pair of faults suffices for one diagnosis. A
/// pattern that is none matches nothing; `problems` of the pack names it.
pub fn grade(causes: &[Diagnosis], named: &Diagnosis) -> DiagnosisGrade {
    let against = |cause: &Diagnosis| {
        let is_evidence = |pattern: &String| {
            EvidencePattern::parse(pattern)
                .is_ok_and(|pattern| named.evidence.iter().any(|evidence| pattern.matches(evidence)))
        };
        DiagnosisGrade {
            component: cause.component == named.component,
            mechanism: cause.mechanism == named.mechanism,
            evidence: cause.evidence.iter().any(is_evidence),
        }
    };
    causes.iter().map(against).max_by_key(|grade| grade.points()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnosis(component: &str, mechanism: &str, evidence: &[&str]) -> Diagnosis {
        let evidence = evidence.iter().map(|&text| text.to_owned()).collect();
        Diagnosis { component: component.to_owned(), mechanism: mechanism.to_owned(), evidence }
    }

    #[test]
    fn each_part_is_graded_alone() {
        let causes = [diagnosis("supply", "swapped-coordinates", &["log:verdict", "request:nearby"])];
        let named = diagnosis("supply", "wrong-unit", &["request: GET /v1/drivers/nearby is empty"]);
        let grade = grade(&causes, &named);
        assert_eq!(grade, DiagnosisGrade { component: true, mechanism: false, evidence: true });
        assert!(!grade.is_right());
    }

    #[test]
    fn one_of_a_pair_suffices_but_parts_of_both_do_not() {
        let causes = [diagnosis("api", "a", &["log:x"]), diagnosis("platform", "b", &["metric:y"])];
        assert!(grade(&causes, &diagnosis("platform", "b", &["metric: y 3"])).is_right());
        assert_eq!(grade(&causes, &diagnosis("api", "b", &["log:x"])).points(), 2);
    }
}
