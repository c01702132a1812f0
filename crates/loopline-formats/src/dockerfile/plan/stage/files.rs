//! `COPY` and `ADD`: sources, destination, what goes with them.

use super::super::{Copy, CopySource, Error, ErrorKind, From, Inline};
use super::{Evaluator, Origin, join};
use crate::dockerfile::ignore::Patterns;
use crate::dockerfile::instruction::{Location, Source, Transfer};
use crate::dockerfile::tree::Word;
use crate::dockerfile::word::Lexer;

impl Evaluator<'_> {
    pub(super) fn copy(
        &self,
        transfer: &Transfer,
        add: bool,
        origin: Origin<'_>,
    ) -> Result<Copy, Error> {
        let from = match &transfer.from {
            Some(name) => self.context.from(self.index, origin.index, name)?,
            None => From::Context,
        };
        let sources = transfer
            .sources
            .iter()
            .map(|source| self.source(source, add, origin))
            .collect::<Result<Vec<_>, _>>()?;
        let destination = self.expand(&transfer.destination, origin)?;
        // `.` is the folder, whether it exists or not.
        let destination = match destination.as_str() {
            "" | "." => join(&self.working_directory(), "./"),
            path => join(&self.working_directory(), path),
        };
        let exclude = transfer
            .exclude
            .iter()
            .map(|word| self.expand(word, origin))
            .collect::<Result<Vec<_>, _>>()?;
        if let Err(kind) = Patterns::of(exclude.iter().map(String::as_str)) {
            let span = transfer.exclude.first().map(|word| word.span).unwrap_or_default();
            return Err(self.context.error(origin.index, span, ErrorKind::Exclude(kind)));
        }
        let optional =
            |word: &Option<Word>| word.as_ref().map(|word| self.expand(word, origin)).transpose();
        Ok(Copy {
            add,
            from,
            sources,
            destination,
            chown: optional(&transfer.chown)?,
            chmod: optional(&transfer.chmod)?,
            link: transfer.link,
            parents: transfer.parents,
            exclude,
            checksum: optional(&transfer.checksum)?,
            keep_git_dir: transfer.keep_git_dir,
            unpack: transfer.unpack,
        })
    }

    fn source(&self, source: &Source, add: bool, origin: Origin<'_>) -> Result<CopySource, Error> {
        match source {
            Source::Path(word) => {
                let path = self.expand(word, origin)?;
                Ok(match Location::of(&path) {
                    Location::Url if add => CopySource::Url(path),
                    Location::Git if add => CopySource::Git(path),
                    _ => CopySource::Path(path),
                })
            }
            Source::Heredoc(number) => {
                let heredoc = &origin.instruction.heredocs[*number];
                let mut content = heredoc.content(origin.file);
                if heredoc.expand {
                    let lexer = Lexer { ignore_quotes: true, ..Lexer::new('\\') };
                    content = self.expand_text(&content, heredoc.body, origin, lexer)?;
                }
                Ok(CopySource::Inline(Inline { name: heredoc.name.clone(), content }))
            }
        }
    }
}
