using Aspire.Hosting;
using Aspire.Hosting.Embedded;

namespace AiAspire.Unit.AppHosting;

public sealed class DependencyOrderTests : IDisposable
{
    private readonly TestApplication _application = new();

    [Fact]
    public void Who_is_waited_for_comes_in_an_earlier_step()
    {
        var builder = _application.Builder;
        var database = builder.AddPostgres("postgres").AddDatabase("aiaspire");
        var redis = builder.AddRedis("redis");
        var migrator = builder.AddProject("migrator", "m.csproj", launchProfileName: null).WaitFor(database);
        builder.AddProject("api", "a.csproj", launchProfileName: null).WaitForCompletion(migrator).WaitFor(redis);

        var steps = DependencyOrder.Steps(builder.Resources).Select(step => string.Join(' ', step.Select(r => r.Name).Order(StringComparer.Ordinal)));

        Assert.Equal(["postgres redis", "aiaspire", "migrator", "api"], steps);
    }

    [Fact]
    public void A_circle_is_drawn_in_the_message()
    {
        var builder = _application.Builder;
        var a = builder.AddProject("a", "a.csproj", launchProfileName: null);
        var b = builder.AddProject("b", "b.csproj", launchProfileName: null).WaitFor(a);
        a.WaitForCompletion(b);

        var e = Assert.Throws<DistributedApplicationException>(() => DependencyOrder.Steps(builder.Resources));
        Assert.Contains("a → b → a", e.Message, StringComparison.Ordinal);
    }

    public void Dispose() => _application.Dispose();
}
