# Sums over the results of lme4 for simulated.csv, one line a model: Rscript make.R > results.csv
# R 4.2.2, lme4 1.1-31.
suppressMessages(library(lme4))
d <- read.csv("simulated.csv", stringsAsFactors = TRUE)
formulas <- list(
  y ~ x * f + z + (x | g) + (1 | h),
  y ~ x + f + (x + z | g),
  y ~ x + (1 | g) + (0 + x | g) + (1 | h) + (1 | sub / s),
  y ~ poly(z, 2) + f + (f | g),
  y ~ x + (1 | g:h) + (1 | g),
  log(y + 20) ~ x + (x | g) + (z | h),
  y ~ 0 + f + x + (0 + f | h),
  y ~ x * z + (1 | s) + (x || sub)
)
control <- lmerControl(
  optimizer = "nloptwrap", calc.derivs = FALSE, check.conv.singular = "ignore",
  optCtrl = list(xtol_abs = 1e-10, ftol_abs = 1e-12, maxeval = 20000)
)
condsd <- function(effects) {
  variance <- attr(effects, "postVar")
  blocks <- if (is.list(variance)) variance else list(variance)
  sum(sapply(blocks, function(v) sum(sqrt(apply(v, 3, diag)))))
}
cat("formula,reml,extra,loglik,beta,se,sigma,fitted_squared,ranef_absolute,condsd\n")
for (i in seq_along(formulas)) for (reml in c(TRUE, FALSE)) for (extra in c("", "weights", "offset")) {
  call <- list(formula = formulas[[i]], data = d, REML = reml, control = control)
  if (extra == "weights") call$weights <- d$w
  if (extra == "offset") call$offset <- d$o
  m <- suppressWarnings(suppressMessages(do.call(lmer, call)))
  effects <- ranef(m, condVar = TRUE)
  numbers <- c(
    logLik(m), sum(fixef(m)), sum(sqrt(diag(as.matrix(vcov(m))))), sigma(m), sum(fitted(m)^2),
    sum(sapply(effects, function(e) sum(abs(as.matrix(e))))), sum(sapply(effects, condsd))
  )
  cat(i, reml, extra, sprintf("%.15g", numbers), sep = ",")
  cat("\n")
}
