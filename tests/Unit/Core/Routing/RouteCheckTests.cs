using AiAspire.Core.Models;
using AiAspire.Core.Routing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace AiAspire.Unit.CoreTests.Routing;

public sealed class RouteCheckTests
{
    [Theory]
    [InlineData(SameCompanyRoutes.Refuse, true)]
    [InlineData(SameCompanyRoutes.Warn, false)]
    [InlineData(SameCompanyRoutes.Allow, false)]
    [Trait("Checklist", "PROV-02")]
    public async Task A_route_of_one_company_stops_the_start_when_that_is_asked_for(SameCompanyRoutes option, bool stops)
    {
        var settings = new ProviderOptions { Company = "One", ApiKey = "k", Models = [new ModelOptions { Id = "a" }, new ModelOptions { Id = "b" }] };
        var catalog = new ModelCatalog(Options.Create(new CatalogOptions { Providers = { ["one"] = settings }, Aliases = { ["smart"] = ["a", "b"] } }));
        var check = new RouteCheck(catalog, Options.Create(new RoutingOptions { SameCompanyRoutes = option }), NullLogger<RouteCheck>.Instance);

        var fault = await Record.ExceptionAsync(() => check.StartAsync(TestContext.Current.CancellationToken));

        Assert.Equal(stops, fault is OptionsValidationException { Message: var message } && message.Contains("Aliases:smart", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("Routing:MaxRetries", "-1", "MaxRetries")]
    [InlineData("Routing:LimitShare", "1.5", "LimitShare")]
    [InlineData("Routing:BackoffSeconds", "30", "MaxBackoffSeconds")]
    [InlineData("Routing:BreakSeconds", "61", "MaxBreakSeconds")]
    [InlineData("Routing:MaxRetrys", "1", "MaxRetrys")]
    public void Settings_that_cannot_be_are_named(string key, string value, string named)
    {
        var configuration = new ConfigurationBuilder().AddInMemoryCollection([KeyValuePair.Create(key, (string?)value)]).Build();
        using var services = RoutingRegistration.AddRouting(new ServiceCollection().AddSingleton<IConfiguration>(configuration)).BuildServiceProvider();

        var fault = Assert.ThrowsAny<Exception>(() => services.GetRequiredService<IOptions<RoutingOptions>>().Value);

        Assert.Contains(named, fault.Message, StringComparison.Ordinal);
    }
}
