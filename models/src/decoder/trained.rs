//! What of a decoder is trained: adapters, and numbers of the base itself.

use std::collections::BTreeSet;

use rtune_adapters::targets::is_called;
use rtune_adapters::{AdapterError, Alongside, Biases, Linear, LoraConfig, Parameters, lora};
use rtune_kernels::real::Real;

use super::Decoder;
use super::block::Block;
use super::norm::Norm;
use super::table::Table;

impl Decoder {
    /// Puts adapters beside the linears that `config` wants, their parameters all zero, and behind them what is trained
    /// alongside, which begins as it is in the base.
    ///
    /// # Errors
    /// Those of [`lora::attach`]; [`AdapterError::Config`] for a bias, a module or a token that the model does not have.
    pub fn attach_lora<R: Real>(&mut self, config: &LoraConfig) -> Result<Parameters<R>, AdapterError> {
        self.freeze();
        let mut parameters = lora::attach(self.linears_mut(), config)?;
        let Alongside { biases, modules, tokens, of_head } = &config.alongside;
        self.train_biases(*biases, &mut parameters)?;
        for module in modules {
            self.train_module(module, &mut parameters)?;
        }
        if !tokens.is_empty() {
            self.train_tokens(tokens, *of_head, &mut parameters)?;
        }
        Ok(parameters)
    }

    /// Lets every number of the base be trained; gives them, under the names of the checkpoint.
    ///
    /// # Errors
    /// [`AdapterError::Config`] for a model with experts, whose routers are not trained here.
    pub fn train_all<R: Real>(&mut self) -> Result<Parameters<R>, AdapterError> {
        self.freeze();
        if self.blocks.iter().any(|block| block.router().is_some()) {
            let problem = "a model with experts is not trained in full: its routers would stay as they are";
            return Err(AdapterError::Config(problem.to_owned()));
        }
        let mut parameters = Parameters::new();
        self.embedding.train(&mut parameters);
        for block in &mut self.blocks {
            for linear in block.linears_mut() {
                linear.train_weight(&mut parameters);
                linear.train_bias(&mut parameters);
            }
            block.norms_mut().for_each(|norm| norm.train(&mut parameters));
        }
        self.final_norm.train(&mut parameters);
        if let Some(head) = &mut self.head {
            head.train(&mut parameters);
        }
        Ok(parameters)
    }

    /// Whether numbers of the base itself are trained, so that it is not the base without parameters.
    #[must_use]
    pub fn trains_base(&self) -> bool {
        self.trained_whole() > 0
    }

    /// Numbers of the base that are trained whole, with none of them frozen.
    pub(super) fn trained_whole(&self) -> usize {
        let linears: usize = self.linears().map(Linear::trained_whole).sum();
        let norms: usize = self.distinct_norms().filter(|norm| norm.is_trained()).map(Norm::count).sum();
        linears + norms + self.tables().map(Table::trained_whole).sum::<usize>()
    }

    fn freeze(&mut self) {
        self.linears_mut().for_each(Linear::freeze);
        self.norms_mut().for_each(Norm::freeze);
        std::iter::once(&mut self.embedding).chain(&mut self.head).for_each(Table::freeze);
    }

    fn tables(&self) -> impl Iterator<Item = &Table> {
        std::iter::once(&self.embedding).chain(&self.head)
    }

    pub(super) fn norms(&self) -> impl Iterator<Item = &Norm> {
        self.blocks.iter().flat_map(Block::norms).chain([&self.final_norm])
    }

    /// [`Self::norms`], one of each name.
    pub(super) fn distinct_norms(&self) -> impl Iterator<Item = &Norm> {
        let mut seen = BTreeSet::new();
        self.norms().filter(move |norm| seen.insert(norm.name.as_str()))
    }

    fn norms_mut(&mut self) -> impl Iterator<Item = &mut Norm> {
        self.blocks.iter_mut().flat_map(Block::norms_mut).chain([&mut self.final_norm])
    }

    fn train_biases<R: Real>(
        &mut self,
        biases: Biases,
        parameters: &mut Parameters<R>,
    ) -> Result<(), AdapterError> {
        let mut found = biases == Biases::None;
        for linear in self.linears_mut() {
            let wanted = match biases {
                Biases::None => false,
                Biases::Adapted => linear.lora.is_some(),
                Biases::All => true,
            };
            found |= wanted && linear.train_bias(parameters);
        }
        if biases == Biases::All {
            for norm in self.norms_mut() {
                found |= norm.train_bias(parameters);
            }
        }
        match found {
            true => Ok(()),
            false => {
                Err(AdapterError::Config("biases are to be trained, but the model has none there".to_owned()))
            }
        }
    }

    fn train_module<R: Real>(
        &mut self,
        module: &str,
        parameters: &mut Parameters<R>,
    ) -> Result<(), AdapterError> {
        let tied = self.head.is_none() && is_called(self.spec.names.head, module);
        if tied {
            let embedding = self.spec.names.embedding;
            return Err(AdapterError::Config(format!(
                "the head `{module}` of this model is its embedding: name `{embedding}` and both are trained"
            )));
        }
        let mut found = false;
        for table in std::iter::once(&mut self.embedding).chain(&mut self.head) {
            if is_called(table.name(), module) && !table.is_trained() {
                table.train(parameters);
                found = true;
            }
        }
        for norm in self.norms_mut().filter(|norm| is_called(&norm.name, module)) {
            norm.train(parameters);
            found = true;
        }
        if found {
            return Ok(());
        }
        let names = [self.spec.names.embedding, self.spec.names.head, self.spec.names.final_norm];
        Err(AdapterError::Config(format!(
            "no module of the model that can be trained whole is called `{module}`; there are `{}` and the norms of the \
             blocks, and linears are adapted",
            names.join("`, `")
        )))
    }

    fn train_tokens<R: Real>(
        &mut self,
        tokens: &[u32],
        of_head: bool,
        parameters: &mut Parameters<R>,
    ) -> Result<(), AdapterError> {
        let vocabulary = self.spec.vocabulary;
        if let Some(token) = tokens.iter().find(|&&token| token as usize >= vocabulary) {
            return Err(AdapterError::Config(format!(
                "token {token} is to be trained, but the model has {vocabulary}"
            )));
        }
        let tables = std::iter::once(&mut self.embedding).chain(self.head.as_mut().filter(|_| of_head));
        for table in tables {
            if table.is_trained() {
                let name = table.name();
                return Err(AdapterError::Config(format!(
                    "rows of `{name}` are to be trained, and all of it"
                )));
            }
            table.train_rows(tokens, parameters);
        }
        Ok(())
    }
}
