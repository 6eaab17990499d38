# Tests of variance components, likelihood ratio tests, profile limits
source("common.R")
suppressPackageStartupMessages({ library(RLRsim); library(lmerTest) })
set.seed(7)
draws <- 1e6

# RLRsim seeds itself; its p is a mean of draws
simulated <- function(test) {
  p <- unname(test$p.value)
  list(statistic = unname(test$statistic), p_value = p, draws = draws, mc_standard_error = sqrt(p * (1 - p) / draws))
}
rlrt <- function(...) simulated(exactRLRT(..., nsim = draws, seed = 11, log.grid.hi = 10, gridlength = 400))
lrt <- function(...) simulated(exactLRT(..., nsim = draws, seed = 12, log.grid.hi = 10, gridlength = 400))
# Quantiles of the null distribution by their own, where only X, Z matter
null_rlrt <- function(m) {
  s <- RLRTSim(getME(m, "X"), as.matrix(getME(m, "Z")), qr(getME(m, "X")), diag(ncol(getME(m, "Z"))), nsim = draws, seed = 13, log.grid.hi = 10, gridlength = 400)
  list(zero = mean(s == 0), quantiles = as.list(quantile(s, c(`50` = .5, `90` = .9, `95` = .95, `99` = .99), names = TRUE)))
}
ranova_of <- function(m) {
  table <- as.data.frame(ranova(as_lmerModLmerTest(m))); names(table) <- c("npar", "loglik", "aic", "statistic", "df", "p_value")
  with_terms(table)
}
compared <- function(...) {
  table <- as.data.frame(anova(..., refit = FALSE))
  names(table) <- c("npar", "aic", "bic", "loglik", "deviance", "statistic", "df", "p_value"); by_column(table)
}
cases <- list()
put <- function(id, name, f, results, ...) { cases[[id]] <<- case(name, f, results, ...); cat(id, "\n") }

f <- Yield ~ 1 + (1 | Batch)
for (name in c("dyestuff", "dyestuff2")) {
  m <- fit(f, read_data(name)); ml <- fit(f, read_data(name), FALSE)
  put(name, name, f, c(list(basics = basics(m), exact_rlrt = rlrt(m), null = null_rlrt(m), ranova = ranova_of(m)),
    if (getME(ml, "theta") > 0) list(exact_lrt = lrt(ml, lm(Yield ~ 1, eval(read_data(name)))))))
}
f <- y ~ a * b + x + (1 | g)
m <- fit(f, read_data("factorial")); ml <- fit(f, read_data("factorial"), FALSE)
put("factorial", "factorial", f, list(basics = basics(m), exact_rlrt = rlrt(m), null = null_rlrt(m),
  exact_lrt = lrt(ml, lm(y ~ a * b + x, data_factorial)),
  exact_lrt_and_interaction = lrt(ml, lm(y ~ a + b + x, data_factorial)), ranova = ranova_of(m)))
f <- Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)
m <- fit(f, read_data("sleepstudy")); i <- fit(Reaction ~ Days + (1 | Subject), read_data("sleepstudy")); s <- fit(Reaction ~ Days + (0 + Days | Subject), read_data("sleepstudy"))
put("sleepstudy_slope_given_intercept", "sleepstudy", f, list(basics = basics(m), exact_rlrt_slope = rlrt(s, m, i), exact_rlrt_intercept = rlrt(i, m, s), ranova = ranova_of(m)))
f <- diameter ~ 1 + (1 | plate) + (1 | sample)
m <- fit(f, read_data("penicillin")); p <- fit(diameter ~ 1 + (1 | plate), read_data("penicillin")); s <- fit(diameter ~ 1 + (1 | sample), read_data("penicillin"))
put("penicillin", "penicillin", f, list(basics = basics(m), exact_rlrt_plate = rlrt(p, m, s), exact_rlrt_sample = rlrt(s, m, p), ranova = ranova_of(m)))
f <- y ~ method + x + (1 | rater) + (1 | school)
m <- fit(f, read_data("schools")); r <- fit(y ~ method + x + (1 | rater), read_data("schools")); s <- fit(y ~ method + x + (1 | school), read_data("schools"))
put("schools", "schools", f, list(basics = basics(m), exact_rlrt_rater = rlrt(r, m, s), exact_rlrt_school = rlrt(s, m, r), ranova = ranova_of(m)))
# A component that is all but absent
small <- y ~ cond + time + (1 | item) + (0 + age | item)
m <- fit(small, read_data("crossed")); i <- fit(y ~ cond + time + (1 | item), read_data("crossed")); a <- fit(y ~ cond + time + (0 + age | item), read_data("crossed"))
put("crossed_small", "crossed", small, list(basics = basics(m), exact_rlrt_age = rlrt(a, m, i), ranova = ranova_of(m)))
# ranova reduces (x | g) to (1 | g), drops nested and crossed terms whole
for (f in list(y ~ arm * cond + time + (time | subject) + (time | item), y ~ cond + (time + age | subject) + (1 | item), y ~ cond + (time || subject) + (1 | item))) {
  m <- fit(f, read_data("crossed")); put(paste0("ranova_", length(cases)), "crossed", f, list(basics = basics(m), ranova = ranova_of(m))) }
f <- y ~ method + x + (1 | school/class) + (1 | rater)
put("ranova_nested", "schools", f, list(basics = basics(m <- fit(f, read_data("schools"))), ranova = ranova_of(m)))

# Models of fixed effects compared by maximum likelihood
models <- list(y ~ 1 + (time | subject) + (1 | item), y ~ cond + (time | subject) + (1 | item),
               y ~ cond + time + (time | subject) + (1 | item), y ~ arm * cond + time + age + (time | subject) + (1 | item))
fits <- lapply(models, fit, read_data("crossed"), FALSE)
put("compare_fixed", "crossed", models[[4]], list(formulas = vapply(models, text, ""), table = do.call(compared, fits)), reml = FALSE)
fits <- lapply(models, fit, read_data("crossed"), FALSE, "w")
put("compare_fixed_weights", "crossed", models[[4]], list(formulas = vapply(models, text, ""), table = do.call(compared, fits)), reml = FALSE, weights = "w")
models <- list(y ~ cond + time + (1 | item), y ~ cond + time + (1 | subject) + (1 | item), y ~ cond + time + (time || subject) + (1 | item), y ~ cond + time + (time | subject) + (1 | item))
fits <- lapply(models, fit, read_data("crossed"))
put("compare_random_reml", "crossed", models[[4]], list(formulas = vapply(models, text, ""), table = do.call(compared, fits)))

store("tests", cases, c("lme4", "lmerTest", "RLRsim"), list(
  exact = "p-values are means of 1e6 draws of the null distribution on a grid of 400 points",
  null = "share of zeros and quantiles of the simulated null distribution of the restricted likelihood ratio"))
