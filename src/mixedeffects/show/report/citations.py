"""The literature that a methods paragraph cites."""

from __future__ import annotations

CITATIONS = {
    "Akaike 1974": "Akaike, H. (1974). A new look at the statistical model identification. "
    "IEEE Transactions on Automatic Control, 19(6), 716–723.",
    "Breslow & Clayton 1993": "Breslow, N. E., & Clayton, D. G. (1993). Approximate inference in "
    "generalized linear mixed models. Journal of the American Statistical Association, 88(421), "
    "9–25.",
    "Crainiceanu & Ruppert 2004": "Crainiceanu, C. M., & Ruppert, D. (2004). Likelihood ratio "
    "tests in linear mixed models with one variance component. Journal of the Royal Statistical "
    "Society, Series B, 66(1), 165–185.",
    "Dunn & Smyth 1996": "Dunn, P. K., & Smyth, G. K. (1996). Randomized quantile residuals. "
    "Journal of Computational and Graphical Statistics, 5(3), 236–244.",
    "Fai & Cornelius 1996": "Fai, A. H.-T., & Cornelius, P. L. (1996). Approximate F-tests of "
    "multiple degree of freedom hypotheses in generalized least squares analyses of unbalanced "
    "split-plot experiments. Journal of Statistical Computation and Simulation, 54(4), 363–378.",
    "Greven et al. 2008": "Greven, S., Crainiceanu, C. M., Küchenhoff, H., & Peters, A. (2008). "
    "Restricted likelihood ratio testing for zero variance components in linear mixed models. "
    "Journal of Computational and Graphical Statistics, 17(4), 870–891.",
    "Hoffman & Gelman 2014": "Hoffman, M. D., & Gelman, A. (2014). The No-U-Turn sampler: "
    "adaptively setting path lengths in Hamiltonian Monte Carlo. Journal of Machine Learning "
    "Research, 15(47), 1593–1623.",
    "Laird & Ware 1982": "Laird, N. M., & Ware, J. H. (1982). Random-effects models for "
    "longitudinal data. Biometrics, 38(4), 963–974.",
    "Lambert 1992": "Lambert, D. (1992). Zero-inflated Poisson regression, with an application "
    "to defects in manufacturing. Technometrics, 34(1), 1–14.",
    "McCullagh 1980": "McCullagh, P. (1980). Regression models for ordinal data. Journal of the "
    "Royal Statistical Society, Series B, 42(2), 109–142.",
    "Mullahy 1986": "Mullahy, J. (1986). Specification and testing of some modified count data "
    "models. Journal of Econometrics, 33(3), 341–365.",
    "Nakagawa et al. 2017": "Nakagawa, S., Johnson, P. C. D., & Schielzeth, H. (2017). The "
    "coefficient of determination R² and intra-class correlation coefficient from generalized "
    "linear mixed-effects models revisited and expanded. Journal of the Royal Society Interface, "
    "14(134), 20170213.",
    "Patterson & Thompson 1971": "Patterson, H. D., & Thompson, R. (1971). Recovery of "
    "inter-block information when block sizes are unequal. Biometrika, 58(3), 545–554.",
    "Pinheiro & Bates 1995": "Pinheiro, J. C., & Bates, D. M. (1995). Approximations to the "
    "log-likelihood function in the nonlinear mixed-effects model. Journal of Computational and "
    "Graphical Statistics, 4(1), 12–35.",
    "Satterthwaite 1946": "Satterthwaite, F. E. (1946). An approximate distribution of estimates "
    "of variance components. Biometrics Bulletin, 2(6), 110–114.",
    "Schwarz 1978": "Schwarz, G. (1978). Estimating the dimension of a model. The Annals of "
    "Statistics, 6(2), 461–464.",
    "Searle et al. 1980": "Searle, S. R., Speed, F. M., & Milliken, G. A. (1980). Population "
    "marginal means in the linear model: an alternative to least squares means. The American "
    "Statistician, 34(4), 216–221.",
    "Self & Liang 1987": "Self, S. G., & Liang, K.-Y. (1987). Asymptotic properties of maximum "
    "likelihood estimators and likelihood ratio tests under nonstandard conditions. Journal of "
    "the American Statistical Association, 82(398), 605–610.",
    "Stram & Lee 1994": "Stram, D. O., & Lee, J. W. (1994). Variance components testing in the "
    "longitudinal mixed effects model. Biometrics, 50(4), 1171–1177.",
    "Vehtari et al. 2017": "Vehtari, A., Gelman, A., & Gabry, J. (2017). Practical Bayesian model "
    "evaluation using leave-one-out cross-validation and WAIC. Statistics and Computing, 27(5), "
    "1413–1432.",
    "Vehtari et al. 2021": "Vehtari, A., Gelman, A., Simpson, D., Carpenter, B., & Bürkner, P.-C. "
    "(2021). Rank-normalization, folding, and localization: an improved R̂ for assessing "
    "convergence of MCMC (with discussion). Bayesian Analysis, 16(2), 667–718.",
}


def cited(text: str) -> tuple[str, ...]:
    """The references whose keys occur in a text, in the order of their authors.

    Examples
    --------
    >>> cited("a linear mixed model (Laird & Ware 1982)")[0][:33]
    'Laird, N. M., & Ware, J. H. (1982'
    """
    return tuple(reference for key, reference in CITATIONS.items() if key in text)
