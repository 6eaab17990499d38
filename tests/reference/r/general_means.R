# Marginal means, contrasts and trends of generalized models by the R package emmeans, on the link
# and the response scale; and, where emmeans has no way, derivatives taken by hand of glmmTMB's own
# coefficients and their covariance
source("common.R")
suppressPackageStartupMessages({ library(glmmTMB); library(ordinal); library(emmeans) })

tight <- function(formula, data, ...) {
  environment(formula) <- globalenv()
  extra <- list(...)
  call <- as.call(c(list(quote(glmmTMB), formula, data = data), extra,
                    list(control = quote(glmmTMBControl(optCtrl = list(iter.max = 2000, eval.max = 3000, rel.tol = 1e-15))))))
  m <- suppressWarnings(eval(call, globalenv()))
  # Newton steps to the optimum of the exact gradient
  par <- m$fit$par
  for (step in 1:3) par <- par - solve(optimHess(par, m$obj$fn, m$obj$gr), as.vector(m$obj$gr(par)))
  stopifnot(max(abs(m$obj$gr(par))) < 1e-5, max(abs(par - m$fit$par)) < 1e-2)
  call$start <- split_start(m, par)
  m <- suppressWarnings(eval(call, globalenv()))
  m
}
split_start <- function(m, par) {
  names <- names(par)
  lapply(setNames(nm = unique(names)), function(n) unname(par[names == n]))
}
tabulate_ <- function(object, ...) {
  table <- as.data.frame(summary(object, infer = c(TRUE, TRUE), ...))
  attributes(table) <- attributes(table)[c("names", "row.names", "class")]
  class(table) <- "data.frame"
  by_column(table)
}
request <- function(m, specs, by = NULL, at = NULL, weights = "equal", type = "link", component = "cond", method = NULL,
                    adjust = "none", var = NULL, regrid = NULL, offset = NULL) {
  arguments <- list(m, specs = specs, by = by, at = at, weights = weights, offset = offset, var = var, regrid = regrid,
                    delta.var = if (!is.null(var)) 1e-5)
  if (inherits(m, "glmmTMB")) arguments$df <- Inf
  if (component != "cond") arguments$component <- component
  arguments <- arguments[!vapply(arguments, is.null, NA)]
  means <- do.call(if (is.null(var)) emmeans else emtrends, arguments)
  asked <- list(specs = I(specs), by = by, at = at, weights = weights, type = type, component = component, method = method,
                var = var, regrid = regrid)
  out <- c(asked[!vapply(asked, is.null, NA)], list(means = tabulate_(means, type = type)))
  if (!is.null(method)) {
    contrasts <- contrast(means, method)
    out$contrasts <- lapply(setNames(nm = adjust), function(a) suppressMessages(tabulate_(contrasts, adjust = a, type = type)))
  }
  out
}
family_case <- function(data, formula, family, link, results, ...)
  case(data, formula, results, kind = "glmmTMB", family = family, link = link, ...)
plain <- function(columns) Filter(function(column) !identical(as.vector(column$levels), "sorted"), columns)
case <- function(name, formula, results, ...)
  list(dataset = name, columns = plain(columns_of(name)), model = list(formula = text(formula), ...), results = results)
basics <- function(m) list(loglik = as.numeric(logLik(m)), fixef = as.list(fixef(m)$cond))
cases <- list()

# Binomial, three links
f <- cbind(incidence, size - incidence) ~ period + (1 | herd)
for (link in c("logit", "probit", "cloglog")) {
  m <- tight(f, read_data("cbpp"), family = binomial(link))
  cases[[paste0("cbpp_", link)]] <- family_case("cbpp", f, "binomial", link, list(basics = basics(m),
    link = request(m, "period", method = "pairwise", adjust = c("none", "tukey")),
    response = request(m, "period", type = "response", method = "pairwise", adjust = c("none", "tukey", "bonferroni")),
    treatment = request(m, "period", type = "response", method = "trt.vs.ctrl", adjust = "none"),
    deviations = request(m, "period", type = "response", method = "eff", adjust = "none")))
}

# Bernoulli, several factors and a covariate
f <- use ~ age + I(age^2) + urban * livch + (1 | district)
m <- tight(f, read_data("contraception"), family = binomial())
cases$contraception <- family_case("contraception", f, "binomial", "logit", list(basics = basics(m),
  urban = request(m, "urban", type = "response", method = "pairwise"),
  urban_proportional = request(m, "urban", type = "response", weights = "proportional", method = "pairwise"),
  urban_cells = request(m, "urban", weights = "cells"),
  livch_by_urban = request(m, "livch", by = "urban", type = "response", method = "pairwise", adjust = "tukey"),
  at = request(m, "livch", at = list(age = c(-5, 5), urban = "Y"), by = "age", type = "response"),
  slopes = request(m, "urban", var = "age", at = list(age = 2)),
  slopes_response = request(m, "urban", var = "age", at = list(age = 2), regrid = "response")))

# Counts with zero inflation and dispersion
f <- count ~ spp + mined + (1 | site)
m <- tight(f, read_data("salamanders"), family = nbinom2(), ziformula = ~ mined + DOY, dispformula = ~ DOP)
cases$salamanders <- family_case("salamanders", f, "nbinom2", "log", list(basics = basics(m),
  spp = request(m, "spp", type = "response", method = "pairwise", adjust = c("none", "tukey")),
  mined = request(m, "mined", method = "pairwise"),
  zero = request(m, "mined", component = "zi", method = "pairwise"),
  zero_response = request(m, "mined", component = "zi", type = "response", method = "pairwise"),
  dispersion = request(m, "1", component = "disp", at = list(DOP = c(-1, 1)), by = "DOP")),
  ziformula = "~ mined + DOY", dispformula = "~ DOP")

# The mean with the extra zeros, averaged over species: derivatives by hand
b <- unlist(fixef(m)[c("cond", "zi")]); p <- length(fixef(m)$cond)
V <- vcov(m, full = TRUE)[seq_len(p + 3), seq_len(p + 3)]
stopifnot(all(grepl("^zi", rownames(V)[p + 1:3])))
d <- data_salamanders
mean_of <- function(b, mined) {
  grid <- data.frame(spp = factor(levels(d$spp), levels(d$spp)), mined = factor(mined, levels(d$mined)))
  eta <- model.matrix(~ spp + mined, grid) %*% b[1:p]
  zeta <- c(1, mined == "no", mean(d$DOY)) %*% b[p + 1:3]
  mean(exp(eta) * (1 - plogis(c(zeta))))
}
by_hand <- function(f) { g <- numDeriv::grad(f, b); list(estimate = f(b), se = sqrt(c(g %*% V %*% g))) }
cases$salamanders$results$response <- by_column(do.call(rbind, lapply(levels(d$mined), function(l)
  data.frame(mined = l, as.data.frame(by_hand(function(b) mean_of(b, l)))))))
cases$salamanders$results$response_difference <- by_hand(function(b) mean_of(b, "yes") - mean_of(b, "no"))

# An offset
f <- SiblingNegotiation ~ FoodTreatment * SexParent + offset(logBrood) + (1 | Nest)
m <- tight(f, read_data("owls"), family = poisson())
cases$owls <- family_case("owls", f, "poisson", "log", list(basics = basics(m),
  by = request(m, "FoodTreatment", by = "SexParent", type = "response", method = "pairwise"),
  both = request(m, c("FoodTreatment", "SexParent"))))

# Ordered categories
rating <- function(m, ...) {
  means <- emmeans(m, ~ rating | temp, mode = "prob", ...)
  list(specs = "temp", means = tabulate_(means),
       contrasts = tabulate_(contrast(emmeans(m, ~ temp | rating, mode = "prob", ...), "pairwise"), adjust = "none"))
}
for (threshold in c("flexible", "equidistant")) for (link in c("logit", "probit")) {
  f <- rating ~ temp * contact + (1 | judge)
  data <- read_data("wine")
  m <- eval(call("clmm", f, data = data, link = link, threshold = threshold, control = clmm.control(gradTol = 1e-7)))
  results <- list(latent = request(m, "temp", method = "pairwise"), latent_by = request(m, "temp", by = "contact", method = "pairwise"))
  if (threshold == "flexible") results$probabilities <- rating(m)
  cases[[paste("wine", link, threshold, sep = "_")]] <- list(dataset = "wine", columns = columns_of("wine"),
    model = list(kind = "clmm", formula = text(f), family = "cumulative", link = link, threshold = threshold), results = results)
}

store("general_means", cases, c("glmmTMB", "ordinal", "emmeans"))
