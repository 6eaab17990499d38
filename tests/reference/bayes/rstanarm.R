# A long run of rstanarm as a reference for me.sample; writes rstanarm.json beside itself:
#     Rscript tests/reference/bayes/rstanarm.R
# decov of a term with one column is Gamma(shape, 1 / scale) of its standard deviation, and the
# prior of the intercept is that at the means of the columns.

suppressMessages({library(rstanarm); library(posterior); library(jsonlite)})
called <- sub("--file=", "", grep("--file=", commandArgs(FALSE), value = TRUE))
here <- dirname(normalizePath(called))
files <- file.path(here, "..", "..", "..", "src", "mixedeffects", "data", "files")
data <- read.csv(gzfile(file.path(files, "grouseticks.csv.gz")))
data$YEAR <- factor(data$YEAR)
data$above <- (data$HEIGHT - 460) / 100

fit <- stan_glmer(
  TICKS ~ YEAR + above + (1 | BROOD) + (1 | LOCATION) + (1 | INDEX),
  data = data, family = poisson(),
  prior = normal(0, c(2, 2, 3), autoscale = FALSE),
  prior_intercept = normal(log(mean(data$TICKS)), 2.5, autoscale = FALSE),
  prior_covariance = decov(shape = 2, scale = 0.5),
  chains = 2, cores = 2, warmup = 1000, iter = 7000, seed = 20261122, refresh = 0
)

draws <- as_draws_array(fit$stanfit)
named <- c(
  "Intercept" = "(Intercept)", "YEAR[T.96]" = "YEAR96", "YEAR[T.97]" = "YEAR97",
  "above" = "above",
  "sd(BROOD)" = "Sigma[BROOD:(Intercept),(Intercept)]",
  "sd(LOCATION)" = "Sigma[LOCATION:(Intercept),(Intercept)]",
  "sd(INDEX)" = "Sigma[INDEX:(Intercept),(Intercept)]"
)
summarized <- function(name) {
  x <- extract_variable_matrix(draws, name)
  if (startsWith(name, "Sigma")) x <- sqrt(x)
  list(
    mean = mean(x), sd = sd(x), q05 = quantile(x, 0.05)[[1]], q95 = quantile(x, 0.95)[[1]],
    ess = ess_bulk(x), r_hat = rhat(x), mcse_mean = mcse_mean(x), mcse_sd = mcse_sd(x),
    mcse_q05 = mcse_quantile(x, 0.05)[[1]], mcse_q95 = mcse_quantile(x, 0.95)[[1]]
  )
}
result <- list(
  versions = list(rstanarm = as.character(packageVersion("rstanarm"))),
  chains = 2, draws = 6000,
  posteriors = list(grouseticks = list(
    divergences = sum(sapply(
      rstan::get_sampler_params(fit$stanfit, inc_warmup = FALSE),
      function(p) sum(p[, "divergent__"])
    )),
    parameters = lapply(named, summarized)
  ))
)
write_json(result, file.path(here, "rstanarm.json"), auto_unbox = TRUE, pretty = 1, digits = 8)
