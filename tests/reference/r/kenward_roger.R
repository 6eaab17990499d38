# Kenward-Roger and Satterthwaite: summaries, adjusted covariance, joint tests of several rows
source("common.R")
suppressPackageStartupMessages({ library(lmerTest); library(pbkrtest) })

summary_of <- function(m, ddf) {
  table <- coef(summary(m, ddf = ddf))
  colnames(table) <- c("estimate", "std_error", "df", "statistic", "p_value")
  with_terms(table)
}
anova_of <- function(m, ddf) lapply(c(`1` = "I", `2` = "II", `3` = "III"), function(type) {
  table <- as.data.frame(anova(m, type = type, ddf = ddf))
  names(table) <- c("sum_sq", "mean_sq", "num_df", "den_df", "statistic", "p_value")
  with_terms(table)
})
joint_of <- function(m, L, ddf) {
  test <- contestMD(m, L, ddf = ddf)
  list(num_df = test$NumDF, den_df = test$DenDF, statistic = test$`F value`, p_value = test$`Pr(>F)`)
}
# lmerTest lets pbkrtest scale F by Kenward and Roger's lambda; KRmodcomp shows both
kr_of <- function(m, L) {
  test <- KRmodcomp(m, L)$test
  list(num_df = test["Ftest", "ndf"], den_df = test["Ftest", "ddf"], statistic = test["Ftest", "stat"],
       p_value = test["Ftest", "p.value"], scaling = test["Ftest", "F.scaling"], unscaled = test["FtestU", "stat"])
}
selection <- function(m, pattern) {
  names <- names(fixef(m)); L <- diag(length(names))[grepl(pattern, names), , drop = FALSE]
  stopifnot(nrow(L) > 0); L
}
inference <- function(m, tests, kenward = TRUE) {
  t <- as_lmerModLmerTest(m)
  out <- list(basics = basics(m), vcov = square(vcov(m)), satterthwaite = summary_of(t, "Satterthwaite"),
              anova_satterthwaite = anova_of(t, "Satterthwaite"))
  if (kenward) out <- c(out, list(kenward_roger = summary_of(t, "Kenward-Roger"), vcov_adjusted = square(vcovAdj(m)),
                                  anova_kenward_roger = anova_of(t, "Kenward-Roger")))
  out$joint <- lapply(tests, function(L) c(list(L = square(L), satterthwaite = joint_of(t, L, "Satterthwaite")),
                                           if (kenward) list(kenward_roger = kr_of(m, L))))
  out
}
# pbkrtest takes the residual covariance of a weighted fit to be sigma^2 I. The same model is
# unweighted once every row of y, X and Z is multiplied by the root of its weight.
scaled_twin <- function(m, random, weights) {
  s <- sqrt(weights); X <- getME(m, "X"); scaled <- as.data.frame(X * s)
  names(scaled) <- paste0("x", seq_along(scaled))
  twin <- cbind(eval(m@call$data), scaled, s = s, ys = getME(m, "y") * s)
  assign("data_scaled", twin, envir = globalenv())
  k <- fit(as.formula(paste("ys ~ 0 +", paste(names(scaled), collapse = " + "), "+", random)), as.name("data_scaled"))
  stopifnot(max(abs(fixef(k) / fixef(m) - 1)) < 1e-5, abs(sigma(k) / sigma(m) - 1) < 1e-6)
  k
}
weighted <- function(id, name, f, tests, random) {
  m <- fit(f, read_data(name), weights = "w")
  k <- scaled_twin(m, random, eval(m@call$data)$w); t <- as_lmerModLmerTest(k)
  out <- inference(m, lapply(tests, selection, m = m), kenward = FALSE)
  out$kenward_roger <- summary_of(t, "Kenward-Roger"); out$kenward_roger$term <- out$satterthwaite$term
  out$vcov_adjusted <- square(vcovAdj(k))
  for (n in names(tests)) out$joint[[n]]$kenward_roger <- kr_of(k, selection(m, tests[[n]]))
  cases[[id]] <<- case(name, f, out, weights = "w"); cat(id, "\n")
}
cases <- list()
add <- function(id, name, f, tests = list(), reml = TRUE, weights = NULL, kenward = reml) {
  m <- fit(f, read_data(name), reml, weights)
  L <- lapply(tests, function(t) if (is.character(t)) selection(m, t) else { L <- t; if (is.null(dim(L))) L <- rbind(L); L })
  cases[[id]] <<- case(name, f, inference(m, L, kenward), reml, weights)
  cat(id, "theta", round(getME(m, "theta"), 3), "\n")
}
full <- y ~ arm * cond + time + age + (time | subject) + (time | item)
tests <- list(cond = "cond[BC]$", interaction = ":cond", arm_and_interaction = "arm", covariates = "^(time|age)$", all_but_intercept = "[^)]$",
              mixed = rbind(c(0, 1, -1, 0, 0, 0, 0.5, 0), c(0, 0, 1, 1, 0, 0, 0, -2), c(1, 0, 0, 0, 1, 1, 0, 0)))
add("crossed_slopes", "crossed", full, tests)
add("crossed_slopes_ml", "crossed", full, tests, reml = FALSE)
weighted("crossed_weights", "crossed", y ~ arm * cond + time + (time | subject) + (1 | item), list(cond = "cond[BC]$", interaction = ":cond"),
         "(0 + s + s:time | subject) + (0 + s | item)")
add("crossed_intercepts", "crossed", y ~ arm * cond + time + age + (1 | subject) + (1 | item), tests)
add("crossed_diagonal", "crossed", y ~ cond * time + (time || subject) + (time || item), list(cond = "cond[BC]$", interaction = ":time"))
add("factor_slopes", "crossed", y ~ cond + arm + (0 + cond | subject) + (1 | item), list(cond = "cond"))
add("nested_crossed", "schools", y ~ method * x + (1 | school/class) + (1 | rater), list(method = "method", slopes = "x", all = "[^)]$"))
add("nested_slope", "schools", y ~ method + x + (x | school) + (1 | rater), list(both = "method|x"))
add("factorial", "factorial", y ~ a * b + b * x + (1 | g), list(a = "^a[a-z]*$", interaction = "a.*:b", slopes = "x"))
weighted("factorial_weights", "factorial", y ~ a * b + x + (x | g), list(a = "^a[a-z]*$"), "(0 + s + s:x | g)")
add("penicillin", "penicillin", diameter ~ 1 + (1 | plate) + (1 | sample))
add("machines", "machines", score ~ Machine + (0 + Machine | Worker), list(machine = "Machine[BC]"))
add("oats", "oats", yield ~ nitroF * Variety + (1 | Block/Variety), list(nitro = "^nitroF[0-9.]+$", variety = "^Variety", interaction = ":"))
add("oxboys", "oxboys", height ~ age + I(age^2) + (age + I(age^2) | Subject), list(both = "age"))
store("kenward_roger", cases, c("lme4", "lmerTest", "pbkrtest"),
      list(joint = "kenward_roger$statistic is scaled (Kenward and Roger 1997), unscaled is not",
           weights = "pbkrtest ignores weights: its answers are those of the equivalent unweighted model"))
