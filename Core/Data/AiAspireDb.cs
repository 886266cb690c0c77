using System.Linq.Expressions;
using System.Text;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata;

namespace AiAspire.Core.Data;

/// <summary>
/// The content database. It cannot be constructed or injected outside this folder and the Migrator: work on it goes through a
/// <see cref="TenantSession"/>. It knows no entity by name; each capability brings its own configuration and its own set property.
/// </summary>
public sealed class AiAspireDb : DbContext
{
    public const string Schema = "aiaspire";

    internal AiAspireDb(DbContextOptions<AiAspireDb> options, TenantScope scope)
        : base(options)
    {
        TenantId = scope.TenantId;
    }

    /// <summary>Read by the query filters at execution, so that the compiled model and queries are shared by all tenants.</summary>
    public Guid TenantId { get; }

    /// <summary>Tells PostgreSQL whose the rest of the transaction is. The query filters stay those of <see cref="TenantId"/>.</summary>
    internal Task SetScopeAsync(TenantScope scope, CancellationToken cancellationToken) => Database.ExecuteSqlAsync(
        $"SELECT set_config('app.tenant_id', {scope.TenantSetting}, true), set_config('app.user_id', {scope.UserSetting}, true), set_config('app.reach', {scope.ReachSetting}, true)",
        cancellationToken);

    protected override void OnModelCreating(ModelBuilder modelBuilder)
    {
        modelBuilder.HasDefaultSchema(Schema);
        modelBuilder.ApplyConfigurationsFromAssembly(typeof(AiAspireDb).Assembly);
        foreach (var entity in modelBuilder.Model.GetEntityTypes())
        {
            NameAsPostgresDoes(entity);
            if (typeof(ITenantOwned).IsAssignableFrom(entity.ClrType))
                entity.SetQueryFilter(TenantFilter(entity.ClrType));
        }
    }

    protected override void ConfigureConventions(ModelConfigurationBuilder configurationBuilder)
        => configurationBuilder.Properties<Enum>().HaveConversion<string>();

    /// <summary>
    /// The filter repeats what the row policy says, because the planner cannot see the tenant inside the policy's sub-select and
    /// would estimate the same size for a large and a small tenant.
    /// </summary>
    private LambdaExpression TenantFilter(Type type)
    {
        var row = Expression.Parameter(type, "row");
        var owner = Expression.Property(row, nameof(ITenantOwned.TenantId));
        var own = Expression.Equal(owner, Expression.Property(Expression.Constant(this), nameof(TenantId)));
        var body = typeof(ISharedByPlatform).IsAssignableFrom(type)
            ? Expression.OrElse(own, Expression.Equal(owner, Expression.Constant(TenantScope.PlatformTenantId)))
            : own;
        return Expression.Lambda(body, row);
    }

    private static void NameAsPostgresDoes(IMutableEntityType entity)
    {
        var table = entity.GetTableName()!;
        foreach (var property in entity.GetProperties())
            property.SetColumnName(SnakeCase(property.Name));
        foreach (var key in entity.GetKeys())
            key.SetName(key.IsPrimaryKey() ? $"{table}_pkey" : $"{table}_{Columns(key.Properties)}_key");
        foreach (var index in entity.GetIndexes())
            index.SetDatabaseName($"{table}_{Columns(index.Properties)}_{(index.IsUnique ? "key" : "idx")}");
        foreach (var foreignKey in entity.GetForeignKeys())
            foreignKey.SetConstraintName($"{table}_{Columns(foreignKey.Properties)}_fkey");
    }

    private static string Columns(IEnumerable<IMutableProperty> properties)
        => string.Join('_', properties.Select(p => p.GetColumnName()));

    internal static string SnakeCase(string name)
    {
        var text = new StringBuilder(name.Length + 8);
        for (var i = 0; i < name.Length; i++)
        {
            if (i > 0 && char.IsUpper(name[i]) && !char.IsUpper(name[i - 1]))
                text.Append('_');
            text.Append(char.ToLowerInvariant(name[i]));
        }

        return text.ToString();
    }
}
