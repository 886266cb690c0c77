using Aspire.Hosting;
using Aspire.Hosting.ApplicationModel;
using Aspire.Hosting.Embedded;

namespace AiAspire.Unit.AppHosting;

public sealed class EnvironmentNamingTests : IDisposable
{
    private readonly TestApplication _application = new();

    [Fact]
    public void References_are_named_as_service_discovery_and_configuration_read_them()
    {
        var builder = _application.Builder;
        var database = builder.AddPostgres("postgres").AddDatabase("aiaspire");
        var workers = builder.AddProject("workers", "../Workers/Workers.csproj", launchProfileName: null).WithReplicas(2).WithHttpEndpoint();
        var client = builder.AddProject("client", "../Api/Api.csproj", launchProfileName: null)
            .WithReference(workers)
            .WithReference(database)
            .WithReference(database, "other")
            .WithEnvironment("Plain", "value")
            .WithEnvironment("Mixed", $"port {workers.GetEndpoint("http").Property(EndpointProperty.Port)}");
        PortPlan.Allocate(builder.Resources, builder.Configuration);

        var context = new EnvironmentCallbackContext();
        foreach (var callback in client.Resource.EnvironmentCallbacks)
            callback(context);

        var ports = workers.Resource.Endpoints[0].Allocated;
        Assert.Equal($"http://127.0.0.1:{ports[0]}", context.EnvironmentVariables["services__workers__http__0"]);
        Assert.Equal($"http://127.0.0.1:{ports[1]}", context.EnvironmentVariables["services__workers__http__1"]);
        Assert.Same(database.Resource, context.EnvironmentVariables["ConnectionStrings__aiaspire"]);
        Assert.Same(database.Resource, context.EnvironmentVariables["ConnectionStrings__other"]);
        Assert.Equal("value", context.EnvironmentVariables["Plain"]);
    }

    [Fact]
    public void Two_resources_of_one_name_are_refused()
    {
        _application.Builder.AddRedis("redis");
        Assert.Throws<DistributedApplicationException>(() => _application.Builder.AddRedis("Redis"));
    }

    [Fact]
    public void A_generated_password_lasts_as_long_as_the_data_folder()
    {
        var first = _application.Builder.Data.KeptParameter("p", () => "one");
        Assert.Equal(first, new DataFolder(_application.Folder).KeptParameter("p", () => "two"));
    }

    [Fact]
    public void A_fixed_port_is_kept_and_a_port_for_nobody_is_refused()
    {
        var builder = _application.Builder;
        var api = builder.AddProject("api", "../Api/Api.csproj", launchProfileName: null).WithHttpEndpoint();
        var free = FreePort();
        builder.Configuration["Ports:api"] = free.ToString();
        PortPlan.Allocate(builder.Resources, builder.Configuration);
        Assert.Equal(free, api.Resource.Endpoints[0].Allocated[0]);

        builder.Configuration["Ports:nobody"] = "8080";
        Assert.Throws<DistributedApplicationException>(() => PortPlan.Allocate(builder.Resources, builder.Configuration));
    }

    public void Dispose() => _application.Dispose();

    private static int FreePort()
    {
        using var listener = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        return ((System.Net.IPEndPoint)listener.LocalEndpoint).Port;
    }
}
