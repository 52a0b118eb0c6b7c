//! The values that a recipe sends, and those that somebody sets in their place.

use serde_json::{Map, Value, json};

use crate::Error;
use crate::event::{Event, Part};

/// From a pickup to its dropoff, degrees each way: some 1.4 km.
const APART: f64 = 0.01;

/// The recipe's values, with what is `set` in their place.
///
/// # Errors
/// If one is no `PATH=VALUE`, the recipe has no such path, or the value is of another type. Nothing is sent then.
pub(crate) fn of(event: Event, set: &[String]) -> Result<Value, Error> {
    let mut values = defaults(event);
    let mut paths = Vec::new();
    for assignment in set {
        let Some((path, text)) = assignment.split_once('=') else {
            return Err(Error::Asked(format!("`{assignment}` is not PATH=VALUE")));
        };
        let pointer = format!("/{}", path.replace('.', "/"));
        let all = leaves(&values);
        let place = values.pointer_mut(&pointer).filter(|_| all.iter().any(|leaf| leaf == path));
        let Some(place) = place else {
            let all = all.join(", ");
            return Err(Error::Asked(format!("`{path}` is not used by {}; what can be set: {all}", event.name())));
        };
        *place = read(text, place)
            .ok_or_else(|| Error::Asked(format!("`{path}` must be {}, and `{text}` is not", kind(place))))?;
        paths.push(path);
    }
    for axis in ["lat", "lon"] {
        let is_set = |what: &str| paths.contains(&format!("{what}.{axis}").as_str());
        if is_set("pickup") && !is_set("dropoff") {
            let pickup = values["pickup"][axis].as_f64().unwrap_or_default();
            values["dropoff"][axis] = json!(pickup + APART);
        }
    }
    Ok(values)
}

fn defaults(event: Event) -> Value {
    // Where no city of ours is. Nobody at all is in the middle of the Atlantic.
    let (lat, lon) = if event == Event::TripNoDriver { (30.0, -40.0) } else { (40.75, -73.98) };
    let card = if event == Event::TripPaymentFailed { "pm_card_chargeDeclined" } else { "pm_card_visa" };
    let mut values = Map::new();
    for part in event.parts() {
        let part = match part {
            Part::Ride => json!({
                "pickup": {"lat": lat, "lon": lon}, "dropoff": {"lat": lat + APART, "lon": lon + APART},
                "class": "standard", "payment_method": card,
            }),
            Part::Driver => json!({"driver": {"name": "Dora", "plate": "RM 1"}}),
            Part::Tip => json!({"tip": {"amount": 300}}),
            Part::Refund => json!({"refund": {"amount": 200}}),
            Part::Charge => json!({"charge": {"amount": 0}}),
        };
        values.extend(part.as_object().cloned().unwrap_or_default());
    }
    Value::Object(values)
}

/// The text as a value of the same type as `like`.
fn read(text: &str, like: &Value) -> Option<Value> {
    match like {
        Value::String(_) => Some(text.into()),
        Value::Number(number) if number.is_f64() => text.parse::<f64>().ok().map(|value| json!(value)),
        _ => text.parse::<i64>().ok().map(|value| json!(value)),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Number(number) if number.is_f64() => "a number",
        _ => "a whole number",
    }
}

/// The paths of everything that is no object.
fn leaves(value: &Value) -> Vec<String> {
    let Some(object) = value.as_object() else { return vec![String::new()] };
    let below = object.iter().flat_map(|(name, value)| leaves(value).into_iter().map(move |rest| (name, rest)));
    below.map(|(name, rest)| if rest.is_empty() { name.clone() } else { format!("{name}.{rest}") }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn set(event: Event, assignments: &[&str]) -> Result<Value, String> {
        let set: Vec<_> = assignments.iter().map(|&it| it.to_owned()).collect();
        of(event, &set).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_set_takes_its_place() {
        let values = set(Event::TripTipped, &["tip.amount=500", "pickup.lat=10", "driver.name=Ann"]).unwrap();
        assert_eq!(values["tip"]["amount"], 500);
        assert_eq!((&values["pickup"]["lat"], &values["dropoff"]["lat"]), (&json!(10.0), &json!(10.0 + APART)));
        assert_eq!(values["driver"]["name"], "Ann");
    }

    #[test]
    fn what_does_not_apply_is_an_error_that_says_what_does() {
        let unused = set(Event::TripCompleted, &["tip.amount=500"]).unwrap_err();
        assert!(unused.contains("`tip.amount` is not used by trip.completed"), "{unused}");
        assert!(unused.contains("pickup.lat") && unused.contains("driver.plate"), "{unused}");
        assert!(set(Event::TripCompleted, &["pickup=1"]).is_err(), "a group is no value");
        assert!(set(Event::TripCompleted, &["pickup.lat"]).unwrap_err().contains("PATH=VALUE"));
        let text = set(Event::TripTipped, &["tip.amount=5.5"]).unwrap_err();
        assert_eq!(text, "`tip.amount` must be a whole number, and `5.5` is not");
    }

    #[test]
    fn every_recipe_has_values() {
        for &event in Event::ALL {
            assert!(of(event, &[]).unwrap()["pickup"]["lat"].is_number(), "{}", event.name());
        }
    }
}
