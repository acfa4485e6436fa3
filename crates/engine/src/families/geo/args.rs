//! Reading places, distances and units.

use super::hash::Place;
use super::shape::Form;
use crate::command::CommandError;
use crate::families::options::{float, is_word};
use damselfly_resp::parse_f64;

/// A longitude and a latitude.
///
/// # Errors
/// They are no numbers, or no place that a score can tell.
pub(super) fn place(longitude: &[u8], latitude: &[u8]) -> Result<Place, CommandError> {
    let place = Place {
        longitude: float(longitude)?,
        latitude: float(latitude)?,
    };
    if place.is_valid() {
        return Ok(place);
    }
    Err(CommandError::owned(format!(
        "ERR invalid longitude,latitude pair {:.6},{:.6}",
        place.longitude, place.latitude
    )))
}

/// Metres in a unit.
///
/// # Errors
/// No such unit.
pub(super) fn unit(word: &[u8]) -> Result<f64, CommandError> {
    const UNITS: [(&str, f64); 4] = [("M", 1.0), ("KM", 1000.0), ("FT", 0.3048), ("MI", 1609.34)];
    UNITS
        .into_iter()
        .find(|(name, _)| is_word(word, name))
        .map(|(_, metres)| metres)
        .ok_or(CommandError::text(
            "ERR unsupported unit provided. please use M, KM, FT, MI",
        ))
}

fn number(arg: &[u8], wrong: &'static str) -> Result<f64, CommandError> {
    parse_f64(arg).ok_or(CommandError::text(wrong))
}

/// A circle, with its unit.
///
/// # Errors
/// No number, a negative one, or no such unit.
pub(super) fn circle(radius: &[u8], word: &[u8]) -> Result<(Form, f64), CommandError> {
    let radius = number(radius, "ERR need numeric radius")?;
    if radius < 0.0 {
        return Err(CommandError::text("ERR radius cannot be negative"));
    }
    Ok((Form::Circle { radius }, unit(word)?))
}

/// A box, with its unit.
///
/// # Errors
/// No numbers, negative ones, or no such unit.
pub(super) fn rectangle(
    width: &[u8],
    height: &[u8],
    word: &[u8],
) -> Result<(Form, f64), CommandError> {
    let width = number(width, "ERR need numeric width")?;
    let height = number(height, "ERR need numeric height")?;
    if width < 0.0 || height < 0.0 {
        return Err(CommandError::text("ERR height or width cannot be negative"));
    }
    Ok((Form::Box { width, height }, unit(word)?))
}
