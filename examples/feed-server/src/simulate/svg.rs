//! Drawing, as far as a chart needs it.

use std::fmt::{self, Display, Write};

/// A picture in the making: an SVG document, whose upper left corner is the origin.
#[derive(Debug)]
pub(super) struct Svg(String);

/// Which end of a text is where it is put.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Font {
    pub(super) size: u32,
    pub(super) bold: bool,
    pub(super) colour: &'static str,
}

impl Svg {
    /// An empty picture of this size on white ground, with a name for who does not see it.
    pub(super) fn new(width: f64, height: f64, name: &str) -> Self {
        let mut svg = Self(String::new());
        let name = Escaped(name);
        svg.put(format_args!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" font-family="system-ui, 'DejaVu Sans', sans-serif">
<title>{name}</title>"#
        ));
        svg.rectangle((0.0, 0.0), (width, height), "#ffffff");
        svg
    }

    pub(super) fn rectangle(
        &mut self,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        fill: &str,
    ) {
        self.put(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{fill}"/>"#
        ));
    }

    pub(super) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), colour: &str) {
        self.put(format_args!(
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{colour}"/>"#
        ));
    }

    /// Points, and the lines between them.
    pub(super) fn curve(&mut self, points: &[(f64, f64)], colour: &str) {
        let mut path = String::new();
        for (x, y) in points {
            // Writing to a string cannot fail.
            let _ = write!(path, "{x:.1},{y:.1} ");
        }
        let path = path.trim_end();
        self.put(format_args!(
            r#"<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>"#
        ));
        for &point in points {
            self.dot(point, colour);
        }
    }

    pub(super) fn dot(&mut self, (x, y): (f64, f64), colour: &str) {
        self.put(format_args!(
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="4" fill="{colour}"/>"#
        ));
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, font: Font, text: &str) {
        let Font { size, colour, .. } = font;
        let weight = if font.bold { "bold" } else { "normal" };
        let text = Escaped(text);
        self.put(format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" fill="{colour}">{text}</text>"#
        ));
    }

    /// The document.
    pub(super) fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }

    fn put(&mut self, element: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{element}");
    }
}

impl Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        })
    }
}

/// A text without what would be taken for markup.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_no_markup() {
        let font = Font {
            size: 12,
            bold: false,
            colour: "#000000",
        };
        let mut svg = Svg::new(10.0, 10.0, "1 < 2");
        svg.text((1.0, 2.0), Anchor::End, font, "a & <b> ]]>");
        let drawn = svg.finish();
        let document = roxmltree::Document::parse(&drawn).unwrap();
        let texts: Vec<_> = document
            .descendants()
            .filter(|node| node.tag_name().name() == "text")
            .filter_map(|node| node.text())
            .collect();
        assert_eq!(texts, ["a & <b> ]]>"]);
    }
}
