//! The values that a recipe sends: defaults, and what `--set` replaces.

use serde_json::{Map, Value, json};

use crate::Error;
use crate::event::{Event, ValueGroup};

/// From pickup to dropoff, degrees on both axes: about 1.4 km.
const TRIP_DEGREES: f64 = 0.01;

/// Returns the recipe's values with replacements. Setting a pickup moves the dropoff along.
///
/// # Errors
/// If one is not `PATH=VALUE`, the recipe has no such path, or the value has the wrong type.
pub(crate) fn of(event: Event, set: &[String]) -> Result<Value, Error> {
    let mut values = defaults(event);
    let mut paths = Vec::new();
    for assignment in set {
        let Some((path, text)) = assignment.split_once('=') else {
            return Err(Error::Usage(format!("`{assignment}` is not PATH=VALUE")));
        };
        let pointer = format!("/{}", path.replace('.', "/"));
        let all = leaves(&values);
        let place = values.pointer_mut(&pointer).filter(|_| all.iter().any(|leaf| leaf == path));
        let Some(place) = place else {
            let all = all.join(", ");
            return Err(Error::Usage(format!("`{path}` is not used by {}; what can be set: {all}", event.name())));
        };
        *place = read(text, place)
            .ok_or_else(|| Error::Usage(format!("`{path}` must be {}, and `{text}` is not", kind(place))))?;
        paths.push(path);
    }
    for axis in ["lat", "lon"] {
        let is_set = |what: &str| paths.contains(&format!("{what}.{axis}").as_str());
        if is_set("pickup") && !is_set("dropoff") {
            let pickup = values["pickup"][axis].as_f64().unwrap_or_default();
            values["dropoff"][axis] = json!(pickup + TRIP_DEGREES);
        }
    }
    Ok(values)
}

fn defaults(event: Event) -> Value {
    // Both places are in the Atlantic, away from the cars of the city, and no recipe has drivers at the first one.
    let (lat, lon) = if event == Event::TripNoDriver { (-30.0, -20.0) } else { (30.0, -40.0) };
    let card = if event == Event::TripPaymentFailed { "pm_card_chargeDeclined" } else { "pm_card_visa" };
    let mut values = Map::new();
    for group in event.value_groups() {
        let group = match group {
            ValueGroup::Ride => json!({
                "pickup": {"lat": lat, "lon": lon}, "dropoff": {"lat": lat + TRIP_DEGREES, "lon": lon + TRIP_DEGREES},
                "class": "standard", "payment_method": card,
            }),
            ValueGroup::Driver => json!({"driver": {"name": "Dora", "plate": "RM 1"}}),
            ValueGroup::Tip => json!({"tip": {"amount": 300}}),
            ValueGroup::Refund => json!({"refund": {"amount": 200}}),
            ValueGroup::Charge => json!({"charge": {"amount": 0}}),
        };
        values.extend(group.as_object().cloned().unwrap_or_default());
    }
    Value::Object(values)
}

/// Parses the text as a value of the same type as `like`.
fn read(text: &str, like: &Value) -> Option<Value> {
    match like {
        Value::String(_) => Some(text.into()),
        Value::Number(number) if number.is_f64() => text.parse::<f64>().ok().map(|value| json!(value)),
        _ => text.parse::<i64>().ok().map(|value| json!(value)),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Number(number) if number.is_f64() => "a number",
        _ => "an integer",
    }
}

/// The paths of all values that are no objects.
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
    fn set_replaces_values_and_moves_the_dropoff() {
        let values = set(Event::TripTipped, &["tip.amount=500", "pickup.lat=10", "driver.name=Ann"]).unwrap();
        assert_eq!(values["tip"]["amount"], 500);
        assert_eq!((&values["pickup"]["lat"], &values["dropoff"]["lat"]), (&json!(10.0), &json!(10.0 + TRIP_DEGREES)));
        assert_eq!(values["driver"]["name"], "Ann");
    }

    #[test]
    fn unused_path_is_an_error_that_lists_the_used_ones() {
        let unused = set(Event::TripCompleted, &["tip.amount=500"]).unwrap_err();
        assert!(unused.contains("`tip.amount` is not used by trip.completed"), "{unused}");
        assert!(unused.contains("pickup.lat") && unused.contains("driver.plate"), "{unused}");
        assert!(set(Event::TripCompleted, &["pickup=1"]).is_err(), "a group is no value");
        assert!(set(Event::TripCompleted, &["pickup.lat"]).unwrap_err().contains("PATH=VALUE"));
        let text = set(Event::TripTipped, &["tip.amount=5.5"]).unwrap_err();
        assert_eq!(text, "`tip.amount` must be an integer, and `5.5` is not");
    }

    #[test]
    fn every_recipe_has_values() {
        for &event in Event::ALL {
            assert!(of(event, &[]).unwrap()["pickup"]["lat"].is_number(), "{}", event.name());
        }
    }
}
